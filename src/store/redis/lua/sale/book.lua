-- The books of a sale as the commands see them: a row is taken apart when it is first needed, and put together again by
-- settle() if it changed.
--
-- stock     SKU -> total available held sold per_buyer; under ' ', which is no SKU, the rules as they were configured
-- buyers    =buyer -> grants all (SKU units)*
-- records   id -> term seq, and then the record as record_text() writes it
-- restocks  id -> term seq sku delta at
-- due       live holds by deadline; fading: what is to be forgotten, by the time when it may be
-- events    an entry a batch: its id is the number of the last event, its text all of them
--
-- A SKU is any visible text, so that an empty row, which the sentinel has, is none. Texts are never compared by `<`, which
-- minds the server's locale: what has an order comes in it, from the rules and from the commands.

local RULES = ' '
local shelf = {
  stock = Hash.new(KEYS[5]),
  buyers = Hash.new(KEYS[6]),
  records = Hash.new(KEYS[7]),
  restocks = Hash.new(KEYS[8]),
  due = Zset.new(KEYS[9]),
  fading = Zset.new(KEYS[10]),
}
local events_key = KEYS[11]

-- The scalars; nil if there is no sale. `wiped`: what the keys hold is another sale's.
local sale
local wiped = false

local book = { stocks = {}, counts = {}, found = {}, dirty_stock = {}, dirty_counts = {}, dirty_records = {} }

-- A field that may be none.
local function or_none(text)
  if text == '-' then return nil end
  return tonumber(text)
end
local function none_or(n) return n and fmt(n) or '-' end

---------------------------------------------------------------- the scalars

function book.load()
  local figures = main:get('figures')
  if not figures then return end
  local version, born, available, held, seq, first = string.match(figures, '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
  sale = {
    version = tonumber(version),
    born = tonumber(born),
    last = main:num('last'),
    available = tonumber(available),
    held = tonumber(held),
    seq = tonumber(seq),
    first = tonumber(first),
    checkpoints = {},
    rules = main:get('rules'),
    rewinds = {},
  }
  for i, seq in ipairs(words(main:get('checkpoints'))) do sale.checkpoints[i] = tonumber(seq) end
  local rewinds = words(main:get('rewinds') or '')
  for i = 1, #rewinds, 2 do
    sale.rewinds[#sale.rewinds + 1] = { term = tonumber(rewinds[i]), to_seq = tonumber(rewinds[i + 1]) }
  end
end

-- The rules but for the items, in the order in which they are encoded.
function book.rules()
  if not sale.parsed then
    local w = words(sale.rules)
    local rules = {
      opens = or_none(w[1]),
      closes = or_none(w[2]),
      hold = tonumber(w[3]),
      hold_max = tonumber(w[4]),
      grace = tonumber(w[5]),
      max_units = or_none(w[6]),
      rooms = {},
      has_rooms = w[7] ~= '0',
    }
    for i = 8, 7 + tonumber(w[7]) do rules.rooms[w[i]] = true end
    sale.parsed = rules
  end
  return sale.parsed
end

---------------------------------------------------------------- rows

function book.stock(sku)
  local stock = book.stocks[sku]
  if stock == nil then
    local row = shelf.stock:get(sku)
    stock = false
    if row and row ~= '' then
      local total, available, held, sold, per_buyer = string.match(row, '^(%S+) (%S+) (%S+) (%S+) (%S+)$')
      stock = {
        total = tonumber(total),
        available = tonumber(available),
        held = tonumber(held),
        sold = tonumber(sold),
        per_buyer = or_none(per_buyer),
      }
    end
    book.stocks[sku] = stock
  end
  return stock
end

function book.read_count(row)
  local w = words(row)
  local count = { grants = tonumber(w[1]), all = tonumber(w[2]), units = {} }
  for i = 3, #w, 2 do count.units[w[i]] = tonumber(w[i + 1]) end
  return count
end

function book.count(buyer)
  local count = book.counts[buyer]
  if count == nil then
    local row = shelf.buyers:get(buyer)
    count = row and book.read_count(row)
    book.counts[buyer] = count
  end
  return count
end

-- Units as they are written: how many lines, which stands at `first`, then SKU and quantity of each. And where they end.
local function read_units(w, first)
  local lines, n = {}, 2 * tonumber(w[first])
  for i = 1, n, 2 do
    lines[i] = w[first + i]
    lines[i + 1] = tonumber(w[first + i + 1])
  end
  return lines, first + n
end

-- Lists of units are shared, and never changed; so their text is kept with them.
local function units_text(lines)
  local text = lines.text
  if not text then
    text = digits[#lines / 2]
    for i = 1, #lines, 2 do text = text .. ' ' .. lines[i] .. ' ' .. digits[lines[i + 1]] end
    lines.text = text
  end
  return text
end

local NOTHING = {}

local function list_text(list)
  if #list == 0 then return '0' end
  return fmt(#list) .. ' ' .. table.concat(list, ' ')
end

local function read_list(w, first)
  local list, n = {}, tonumber(w[first])
  for i = 1, n do list[i] = w[first + i] end
  return list, first + n
end

-- A record of its text. `state` is H, C, R or E; `at` its deadline or its
-- end; `mark` whether it is being paid, or its order.
local function read_record(text)
  local w = words(text)
  local record = {
    text = text,
    print = w[1],
    buyer = w[2],
    created = tonumber(w[3]),
    extensions = tonumber(w[4]),
    state = w[5],
    at = tonumber(w[6]),
    mark = w[7],
  }
  local last
  record.lines, last = read_units(w, 8)
  record.keys, last = read_list(w, last + 1)
  record.orders = read_list(w, last + 1)
  return record
end

-- In one expression, here and where other rows are written: it makes one text, and no list.
local function record_text(record)
  local text = record.text
  if not text then
    local lines, keys, orders = record.lines, record.keys, record.orders
    text = record.print .. ' ' .. record.buyer .. ' ' .. digits[record.created] .. ' ' .. digits[record.extensions] .. ' '
      .. record.state .. ' ' .. digits[record.at] .. ' ' .. record.mark .. ' ' .. (lines.text or units_text(lines)) .. ' '
      .. (keys == NOTHING and '0' or list_text(keys)) .. ' ' .. (orders == NOTHING and '0' or list_text(orders))
    record.text = text
  end
  return text
end

-- A record of its row: the term and number of its last change, and its text.
function book.read_row(row)
  local term, seq, text = string.match(row, '^(%S+) (%S+) (.*)$')
  local record = read_record(text)
  record.term, record.seq = tonumber(term), tonumber(seq)
  return record
end

-- A record; false if there is none.
function book.record(id)
  local record = book.found[id]
  if record == nil then
    local row = shelf.records:get(id)
    record = row and book.read_row(row)
    book.found[id] = record
  end
  return record
end

-- A record that is about to be changed, or is new.
function book.touch(id, record)
  record.text = nil
  book.found[id] = record
  book.dirty_records[id] = true
end

function book.drop(id)
  book.found[id] = false
  book.dirty_records[id] = true
end

-- Reads at once what is going to be needed: records, and with them their SKUs and buyers.
function book.gather(ids, skus, buyers)
  local stored = shelf.records
  stored:gather(ids)
  for i = 1, #ids do
    local id = ids[i]
    -- Most often there is none yet.
    local record = stored.known[id] ~= false and book.record(id)
    if record then
      if record.buyer ~= '-' then buyers[#buyers + 1] = record.buyer end
      for i = 1, #record.lines, 2 do skus[#skus + 1] = record.lines[i] end
    end
  end
  shelf.stock:gather(skus)
  shelf.buyers:gather(buyers)
end

-- The items of rules as they are encoded, in the order of their SKUs: a list, and each by its SKU.
function book.read_items(text)
  local list, by_sku = {}, {}
  local w = words(text)
  local first = 8 + tonumber(w[7])
  for i = first + 1, first + 3 * tonumber(w[first]), 3 do
    local item = { sku = w[i], total = tonumber(w[i + 1]), per_buyer = or_none(w[i + 2]) }
    list[#list + 1] = item
    by_sku[item.sku] = item
  end
  return list, by_sku, table.concat(w, ' ', 1, first - 1)
end

-- The items in force, and reads the stock of all of them.
function book.items()
  local list, by_sku = book.read_items(shelf.stock:get(RULES))
  local skus = {}
  for i, item in ipairs(list) do skus[i] = item.sku end
  shelf.stock:gather(skus)
  return list, by_sku
end

---------------------------------------------------------------- units

function book.hold(sku, n)
  local stock = book.stocks[sku] or book.stock(sku)
  if not stock then return end
  stock.available, stock.held = stock.available - n, stock.held + n
  sale.available, sale.held = sale.available - n, sale.held + n
  book.dirty_stock[sku] = true
end

function book.give_back(sku, n)
  local stock = book.stock(sku)
  if not stock then return end
  stock.held, stock.available = stock.held - n, stock.available + n
  sale.held, sale.available = sale.held - n, sale.available + n
  book.dirty_stock[sku] = true
end

function book.sell(sku, n)
  local stock = book.stock(sku)
  if not stock then return end
  stock.held, stock.sold = stock.held - n, stock.sold + n
  sale.held = sale.held - n
  book.dirty_stock[sku] = true
end

function book.add_count(buyer, sku, n)
  local count = buyer ~= '-' and (book.counts[buyer] or book.count(buyer))
  if not count then return end
  local units = count.units
  units[sku] = (units[sku] or 0) + n
  count.all = count.all + n
  book.dirty_counts[buyer] = true
end

function book.take_count(buyer, sku, n)
  local count = buyer ~= '-' and book.count(buyer)
  if not count then return end
  count.all = count.all - n
  local left = count.units[sku]
  if left then count.units[sku] = left > n and left - n or nil end
  book.dirty_counts[buyer] = true
end

-- How plentiful a SKU is: A available, H all held, S sold out.
local function level(stock)
  if stock.available > 0 then return 'A' end
  return stock.held > 0 and 'H' or 'S'
end

-- The levels of these units' SKUs, to be told of by tell_levels() once they may have changed.
function book.levels(lines)
  local levels = {}
  for i = 1, #lines, 2 do
    local stock = book.stock(lines[i])
    if stock then
      levels[#levels + 1] = lines[i]
      levels[#levels + 1] = level(stock)
    end
  end
  return levels
end

-- The same where every one of them was plentiful before.
function book.tell_scarce(lines)
  for i = 1, #lines, 2 do
    local sku = lines[i]
    local stock = book.stocks[sku]
    if stock.available == 0 then book.emit((stock.held > 0 and 'all_held ' or 'sold_out ') .. sku) end
  end
end

function book.tell_levels(before)
  for i = 1, #before, 2 do
    local stock = book.stock(before[i])
    local is = stock and level(stock)
    if stock and is ~= before[i + 1] then
      if is == 'A' then
        book.emit('returned ' .. before[i] .. ' ' .. fmt(stock.available))
      else
        book.emit((is == 'H' and 'all_held ' or 'sold_out ') .. before[i])
      end
    end
  end
end

---------------------------------------------------------------- events

-- The events of this batch; those before them are in the store.
local fresh = {}

-- Appends an event, its time in front.
function book.append(event)
  sale.seq = sale.seq + 1
  fresh[#fresh + 1] = event
end

-- Appends an event, as of `time` or else now.
function book.emit(text, time) book.append(digits[time or now] .. ' ' .. text) end

-- Lets what has come to its end, now or at `at_ms`, be forgotten in time.
function book.fade(id, at_ms) shelf.fading:add((at_ms or now) + BOUND.tombstone_ms, id) end

-- Takes a live hold off the books as of now or `at_ms`, the units back to available; its record becomes a tombstone.
function book.end_hold(id, state, event, at_ms)
  local record = book.record(id)
  if not record or record.state ~= 'H' then return end
  record.state, record.at, record.mark = state, at_ms or now, '-'
  book.touch(id, record)
  shelf.due:remove(id)
  book.fade(id, at_ms)
  local lines = record.lines
  local levels = book.levels(lines)
  for i = 1, #lines, 2 do
    book.give_back(lines[i], lines[i + 1])
    book.take_count(record.buyer, lines[i], lines[i + 1])
  end
  book.emit(event .. ' ' .. id .. ' ' .. units_text(lines))
  book.tell_levels(levels)
end

-- Forgets a tombstone or a restock's key. What was confirmed stays, but is no longer counted as a grant.
function book.forget(id)
  shelf.fading:remove(id)
  if shelf.restocks:get(id) then shelf.restocks:set(id, false) end
  local record = book.record(id)
  if not record then return end
  if record.state ~= 'C' then book.drop(id) end
  local count = record.buyer ~= '-' and book.count(record.buyer)
  if not count then return end
  count.grants = count.grants - 1
  if count.grants == 0 and count.all == 0 then book.counts[record.buyer] = false end
  book.dirty_counts[record.buyer] = true
end

-- Closes a batch that changed something: sets a checkpoint and trims the past where it is time.
function book.finish()
  local checkpoints = sale.checkpoints
  if sale.seq < (checkpoints[#checkpoints] or 0) + BOUND.checkpoint_every then return end
  local list, text = book.items(), {}
  for i, item in ipairs(list) do
    local stock = book.stock(item.sku)
    text[i] = table.concat({ item.sku, fmt(stock.total), fmt(stock.available), fmt(stock.held), fmt(stock.sold) }, ' ')
  end
  book.emit('checkpoint ' .. fmt(#list) .. ' ' .. table.concat(text, ' '), sale.last)
  checkpoints[#checkpoints + 1] = sale.seq
  while sale.seq - sale.first + 1 > BOUND.kept_events do
    while checkpoints[1] and checkpoints[1] <= sale.first do table.remove(checkpoints, 1) end
    if not checkpoints[1] then break end
    sale.first, sale.is_trimmed = checkpoints[1], true
  end
end

---------------------------------------------------------------- putting together

-- The term and number that the rows of this batch are of.
function book.row_stamp()
  return (main:get('term') or '1') .. ' ' .. fmt((main:num('seq') or 0) + 1) .. ' '
end

local function stock_text(stock)
  return fmt(stock.total) .. ' ' .. fmt(stock.available) .. ' ' .. fmt(stock.held) .. ' ' .. fmt(stock.sold) .. ' '
    .. none_or(stock.per_buyer)
end

local function count_text(count)
  local text = digits[count.grants] .. ' ' .. digits[count.all]
  for sku, n in pairs(count.units) do text = text .. ' ' .. sku .. ' ' .. digits[n] end
  return text
end

-- A record as its senders are to remember it: with the birth of its sale, so that it is no other's. Returns where it stands
-- among the rows told of.
function book.tell_fact(id, record)
  local key = 'r' .. id
  local place = fact_place(key)
  facts[place] = key .. ' ' .. digits[sale.born] .. ' ' .. (record.text or record_text(record))
  return place
end

-- Lays everything that changed ready to be written.
function book.settle()
  local stamp_words = book.row_stamp()
  for sku in pairs(book.dirty_stock) do
    local stock = book.stocks[sku]
    shelf.stock:set(sku, stock and stock_text(stock))
  end
  for buyer in pairs(book.dirty_counts) do
    local count = book.counts[buyer]
    shelf.buyers:set(buyer, count and count_text(count))
  end
  local found, records = book.found, shelf.records
  for id in pairs(book.dirty_records) do
    local record = found[id]
    records:set(id, record and stamp_words .. (record.text or record_text(record)))
    if record then book.tell_fact(id, record) end
  end
  book.dirty_stock, book.dirty_counts, book.dirty_records = {}, {}, {}
  if not sale then return end
  main:set('figures', digits[sale.version] .. ' ' .. digits[sale.born] .. ' ' .. digits[sale.available] .. ' '
    .. digits[sale.held] .. ' ' .. digits[sale.seq] .. ' ' .. digits[sale.first])
  main:put('last', sale.last)
  main:set('rules', sale.rules)
  local checkpoints = {}
  for i, seq in ipairs(sale.checkpoints) do checkpoints[i] = fmt(seq) end
  main:set('checkpoints', table.concat(checkpoints, ' '))
  local rewinds = {}
  for i, rewind in ipairs(sale.rewinds) do rewinds[i] = fmt(rewind.term) .. ' ' .. fmt(rewind.to_seq) end
  main:set('rewinds', #rewinds > 0 and table.concat(rewinds, ' '))
end

-- Forgets all that this batch has seen: the sale of these keys is gone.
function book.wipe()
  sale, wiped, fresh = nil, true, {}
  for _, rows in pairs(shelf) do rows:clear() end
  book.stocks, book.counts, book.found = {}, {}, {}
  book.dirty_stock, book.dirty_counts, book.dirty_records = {}, {}, {}
  for _, field in ipairs({ 'figures', 'last', 'rules', 'checkpoints' }) do
    main:set(field, false)
  end
  main:set('rewinds', false)
end
