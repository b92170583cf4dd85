-- What can be asked of a sale without changing it.

local inquiry = {}

-- Who looks at a record is told of it twice: as it is now, and as it is to be remembered at the batch's end. Mostly that is
-- the same: then it is written once, and the outcome says where.
local looks = {} -- the place of the outcome -> the id

-- Tells of a record.
function inquiry.show(id)
  local record = book.record(id)
  if not record then return tell('x unknown_reservation') end
  local place = #told + 1
  told[place] = record.text or record_text(record)
  looks[place] = id
end

function inquiry.look(ask) inquiry.show(ask.id) end

-- Puts the outcomes of looks into words, once the batch is applied.
function inquiry.finish()
  local found = book.found
  for place, id in pairs(looks) do
    local record, text = found[id], told[place]
    if record and (record.text or record_text(record)) == text then
      told[place] = 'f ' .. digits[fact_at['r' .. id] or book.tell_fact(id, record)]
    else
      told[place] = 'r ' .. id .. ' ' .. text
    end
  end
end

-- What a sale shows of itself, but for its items.
function inquiry.figures()
  local _, due = shelf.due:first()
  return fmt(sale.version) .. ' ' .. fmt(sale.born) .. ' ' .. fmt(sale.last) .. ' ' .. fmt(sale.available) .. ' '
    .. fmt(sale.held) .. ' ' .. fmt(sale.seq) .. ' ' .. none_or(due) .. ' ' .. string.match(sale.rules, '^%S+ %S+')
end

-- What is asked seldom.
local listing = part(function(listing)
  function listing.rules() tell('u', shelf.stock:get(RULES)) end

  function listing.items()
    local list = book.items()
    local text = { 'i', inquiry.figures(), fmt(#list) }
    for i, item in ipairs(list) do
      text[i + 3] = item.sku .. ' ' .. stock_text(book.stock(item.sku))
    end
    tell(table.concat(text, ' '))
  end

  -- Events after one that was told of in `term`, at most so many, oldest first; from the oldest kept if that is later.
  function listing.events(ask)
    local after, limit = ask.after, ask.limit
    for _, rewind in ipairs(sale.rewinds) do
      -- What came after a rewind, the reader has to forget.
      if rewind.term > ask.term then after = math.min(after, rewind.to_seq) end
    end
    local next = math.max(after + 1, sale.first)
    local first, list, n = next, {}, 0
    local function take_event(seq, text)
      if seq ~= next or n >= limit then return end
      next, n = seq + 1, n + 1
      list[n] = text
    end
    local stored = sale.seq - #fresh
    while n < limit and next <= stored do
      local entries = redis.call('XRANGE', events_key, fmt(next) .. '-0', '+', 'COUNT', fmt(math.min(limit - n, PAGE)))
      for _, entry in ipairs(entries) do
        local texts = {}
        for text in string.gmatch(entry[2][2], '[^\t]+') do texts[#texts + 1] = text end
        local last = tonumber(string.match(entry[1], '^%d+'))
        for i, text in ipairs(texts) do take_event(last - #texts + i, text) end
      end
      if #entries == 0 then break end
    end
    for i, text in ipairs(fresh) do take_event(stored + i, text) end
    tell('e ' .. fmt(first) .. (n > 0 and '\t' or '') .. table.concat(list, '\t'))
  end

  ---------------------------------------------------------------- the walk

  -- Calls `use` with every stored field of a hash, each once.
  local function each_stored(hash, use)
    if hash.emptied then return end
    local cursor, seen = '0', {}
    repeat
      local page = redis.call('HSCAN', hash.key, cursor, 'COUNT', '1000')
      cursor = page[1]
      for i = 1, #page[2], 2 do
        local field = page[2][i]
        if field ~= LAST and not seen[field] then
          seen[field] = true
          use(field, page[2][i + 1])
        end
      end
    until cursor == '0'
  end

  -- Deadlines as they are watched, of all live holds.
  local function watched()
    local by_id = {}
    if not shelf.due.emptied then
      local read = 0
      repeat
        local flat = redis.call('ZRANGE', shelf.due.key, fmt(read), fmt(read + 999), 'WITHSCORES')
        for i = 1, #flat, 2 do
          if flat[i] ~= LAST and not shelf.due.hidden[flat[i]] then by_id[flat[i]] = tonumber(flat[i + 1]) end
        end
        read = read + 1000
      until #flat < 2000
    end
    for id, deadline in pairs(shelf.due.scores) do by_id[id] = deadline end
    return by_id
  end

  local function same_units(a, b)
    for sku, n in pairs(a) do
      if b[sku] ~= n then return false end
    end
    for sku in pairs(b) do
      if not a[sku] then return false end
    end
    return true
  end

  local function sum_of(units)
    local all = 0
    for _, n in pairs(units) do all = all + n end
    return all
  end

  local function compare_items(held, sold, differ)
    local available_sum, held_sum = 0, 0
    for _, item in ipairs((book.items())) do
      local sku, stock = item.sku, book.stock(item.sku)
      available_sum, held_sum = available_sum + stock.available, held_sum + stock.held
      if stock.available + stock.held + stock.sold ~= stock.total then differ('item', sku, stock_text(stock)) end
      if (held[sku] or 0) ~= stock.held then
        differ('reservations', sku, 'held', fmt(held[sku] or 0), fmt(stock.held))
      end
      if (sold[sku] or 0) ~= stock.sold then
        differ('reservations', sku, 'sold', fmt(sold[sku] or 0), fmt(stock.sold))
      end
    end
    if available_sum ~= sale.available then differ('sum', 'available', fmt(available_sum), fmt(sale.available)) end
    if held_sum ~= sale.held then differ('sum', 'held', fmt(held_sum), fmt(sale.held)) end
  end

  local function compare_buyers(counted, differ)
    local function compare(buyer, count)
      local told = counted[buyer] or {}
      counted[buyer] = nil
      if not same_units(told, count.units) or sum_of(told) ~= count.all then
        differ('buyer', buyer, fmt(sum_of(told)), fmt(count.all))
      end
    end
    each_stored(shelf.buyers, function(buyer, row)
      if book.counts[buyer] == nil then compare(buyer, book.read_count(row)) end
    end)
    for buyer, count in pairs(book.counts) do
      if count then compare(buyer, count) end
    end
    for buyer, told in pairs(counted) do differ('buyer', buyer, fmt(sum_of(told)), '0') end
  end

  -- Counts everything anew.
  function listing.walk()
    local number, columns, buyers, deadlines = { H = 0, C = 0, R = 0, E = 0 }, { H = {}, C = {} }, {}, watched()
    local differences = {}
    local function differ(...) differences[#differences + 1] = table.concat({ ... }, ' ') end
    local function add(units, lines)
      for i = 1, #lines, 2 do units[lines[i]] = (units[lines[i]] or 0) + lines[i + 1] end
    end
    local function count(id, record)
      number[record.state] = number[record.state] + 1
      local column = columns[record.state]
      if not column then return end
      add(column, record.lines)
      if record.buyer ~= '-' then
        buyers[record.buyer] = buyers[record.buyer] or {}
        add(buyers[record.buyer], record.lines)
      end
      if record.state == 'H' then
        if deadlines[id] ~= record.at then differ('deadline', id) end
        deadlines[id] = nil
      end
    end
    each_stored(shelf.records, function(id, row)
      if book.found[id] == nil then count(id, book.read_row(row)) end
    end)
    for id, record in pairs(book.found) do
      if record then count(id, record) end
    end
    compare_items(columns.H, columns.C, differ)
    compare_buyers(buyers, differ)
    for id in pairs(deadlines) do differ('deadline', id) end
    local counts = table.concat({ 'w', fmt(number.H), fmt(number.C), fmt(number.R + number.E) }, ' ')
    tell(table.concat({ counts, unpack(differences, 1, math.min(#differences, PIECE)) }, '\t'))
  end
end)
