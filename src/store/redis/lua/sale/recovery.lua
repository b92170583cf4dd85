-- What becomes of a sale whose store has lost its last moments: the rows of those who remember them are staged, and at the
-- end of the recovery each is applied where it fits. The pure machine says why each thing is so.
--
-- staged    g, k<id>, r<id>; r<id> <order> for a confirmed record, which no other row of that id displaces
--           -> term seq, and what was told

local staged = Hash.new(staged_key)

local recovery = part(function(recovery)
  -- Whether what is told of a record is new: newer than what is stored, an order not known to be confirmed, or a hold that
  -- lives longer.
  local function is_news(id, term, seq, told)
    local known = book.record(id)
    if not known then return true end
    if known.print ~= told.print or known.buyer ~= told.buyer then return true end
    local stored = known.term
    if not stored or stored < term or (stored == term and known.seq < seq) then return true end
    if told.state == 'C' then return not (known.state == 'C' and known.mark == told.mark) end
    if told.state ~= 'H' then return false end
    return (known.state == 'H' and told.at > known.at) or (known.state == 'E' and told.at > now)
  end

  local function is_later(term, seq, row)
    local other_term, other_seq = string.match(row, '^(%S+) (%S+)')
    other_term, other_seq = tonumber(other_term), tonumber(other_seq)
    return term > other_term or (term == other_term and seq > other_seq)
  end

  local function is_later_settings(value, row)
    local version, born = string.match(value, '^(%S+) (%S+)')
    local other_version, other_born = string.match(row, '^%S+ %S+ (%S+) (%S+)')
    version, born, other_version, other_born = tonumber(version), tonumber(born), tonumber(other_version), tonumber(other_born)
    return born > other_born or (born == other_born and version > other_version)
  end

  local function stage(row)
    if row.told and sale and row.born == sale.born then
      local known = book.record(row.id)
      if known and record_text(known) == record_text(row.told) then return end
      if not is_news(row.id, row.term, row.seq, row.told) then return end
    end
    if row.born and sale and row.born < sale.born then return end
    local before = staged:get(row.field)
    if before then
      if row.key == 'g' then
        if not is_later_settings(row.value, before) then return end
      elseif not is_later(row.term, row.seq, before) then
        return
      end
    end
    staged:set(row.field, table.concat({ fmt(row.term), fmt(row.seq), row.value }, ' '))
  end

  -- Takes a row apart.
  local function open_row(row)
    local kind = string.sub(row.key, 1, 1)
    row.field = row.key
    if kind == 'g' then return end
    row.id = string.sub(row.key, 2)
    local born, text = string.match(row.value, '^(%S+) (.*)$')
    row.born, row.text = tonumber(born), text
    if kind == 'r' then
      row.told = read_record(text)
      if row.told.state == 'C' then row.field = row.key .. ' ' .. row.told.mark end
    end
  end

  function recovery.replay()
    aggregate.exists()
    local rows, ids, fields = {}, {}, {}
    for i = 1, num() do
      local row = { key = take(), term = num(), seq = num(), value = take() }
      open_row(row)
      rows[i], fields[i] = row, row.field
      if row.told then ids[#ids + 1] = row.id end
    end
    shelf.records:gather(ids)
    staged:gather(fields)
    for _, row in ipairs(rows) do stage(row) end
  end

  ---------------------------------------------------------------- applying

  -- Whether these units can be had, once enough of the holds that are due has been expired.
  local function make_room(lines)
    while reserve.shortages(lines, NOTHING) do
      local id, deadline = shelf.due:first()
      if not id or deadline > now then return false end
      book.end_hold(id, 'E', 'expired')
    end
    return true
  end

  local function insert(id, told, state, at_ms)
    if told.buyer ~= '-' then
      local count = book.count(told.buyer)
      if not count then
        count = { grants = 0, all = 0, units = {} }
        book.counts[told.buyer] = count
      end
      count.grants = count.grants + 1
      book.dirty_counts[told.buyer] = true
    end
    book.touch(id, {
      print = told.print,
      buyer = told.buyer,
      created = told.created,
      extensions = told.extensions,
      state = state,
      at = at_ms,
      mark = '-',
      lines = told.lines,
      keys = told.keys,
      orders = NOTHING,
    })
  end

  -- What came to its end: it is known, so that its key is.
  local function bury(id, told, state, at_ms)
    insert(id, told, state, at_ms)
    book.fade(id, at_ms)
  end

  -- A hold that the store does not know, or takes for expired.
  local function hold_anew(id, told)
    local lines = told.lines
    local fits = make_room(lines)
    if not book.record(id) then bury(id, told, 'E', now) end
    if not fits then
      book.emit(table.concat({ 'lost', id, told.buyer, units_text(lines) }, ' '))
      return
    end
    local record = book.record(id)
    record.lines, record.extensions, record.keys = lines, told.extensions, told.keys
    record.state, record.at, record.mark = 'H', told.at, told.mark
    book.touch(id, record)
    shelf.fading:remove(id)
    shelf.due:add(told.at, id)
    local levels = book.levels(lines)
    for i = 1, #lines, 2 do
      book.hold(lines[i], lines[i + 1])
      book.add_count(told.buyer, lines[i], lines[i + 1])
    end
    book.emit(table.concat({ 'held', id, told.buyer, fmt(told.at), units_text(lines) }, ' '))
    book.tell_levels(levels)
  end

  -- A purchase of which the store has no hold, or one that died.
  local function take_and_sell(id, told)
    local fits = make_room(told.lines)
    if not book.record(id) then bury(id, told, 'E', now) end
    local record = book.record(id)
    if not fits then return resolve.tell_paid_too_late(id, record, told.mark) end
    local levels = book.levels(told.lines)
    resolve.hold_again(id, record, told.lines)
    resolve.sell(id, record, told.lines, 'part', told.mark, told.at)
    book.tell_levels(levels)
  end

  -- Whether the units of `part` are among those of `whole`, and whether they are all of them.
  local function is_part(whole, part)
    local is_all = #whole == #part
    for i = 1, #part, 2 do
      local reserved = resolve.units_of(whole, part[i])
      if not reserved or part[i + 1] > reserved then return false end
      is_all = is_all and part[i + 1] == reserved
    end
    return true, is_all
  end

  -- A hold that was paid.
  local function sell_held(id, known, told)
    local fits, is_all = is_part(known.lines, told.lines)
    if not fits then
      -- Another's, under the same id.
      book.end_hold(id, 'E', 'expired')
      return take_and_sell(id, told)
    end
    local levels = book.levels(known.lines)
    shelf.due:remove(id)
    resolve.sell(id, known, told.lines, is_all and 'whole' or 'part', told.mark, told.at)
    book.tell_levels(levels)
  end

  local function tell_late_orders(id, told)
    local record = book.record(id)
    for _, order in ipairs(told.orders) do
      if not resolve.contains(record.orders, order) and not (record.state == 'C' and record.mark == order) then
        resolve.tell_paid_too_late(id, record, order)
      end
    end
  end

  -- Two histories granted different things under one key: the one that is here stays, and the other is told of.
  local function tell_of_other(id, known, told)
    if told.state == 'H' and told.at > now then
      book.emit(table.concat({ 'lost', id, told.buyer, units_text(told.lines) }, ' '))
    elseif told.state == 'C' and not resolve.contains(known.orders, told.mark) and not (known.state == 'C' and known.mark == told.mark) then
      resolve.tell_paid_too_late(id, known, told.mark)
    end
    tell_late_orders(id, told)
  end

  -- Applies a record. True if it needs units and may not take any.
  local function merge(id, told, may_take)
    local known, is = book.record(id), told.state
    local is_of_other = known and (known.print ~= told.print or known.buyer ~= told.buyer)
    if known and (is_of_other or known.created ~= told.created) and (known.state == 'R' or known.state == 'E') then
      -- It gives way to what was granted under its key after it had been forgotten.
      book.forget(id)
      known, is_of_other = false, false
    end
    if is_of_other then return tell_of_other(id, known, told) end
    local was = known and known.state
    local is_new_order = known and is == 'C' and known.mark ~= told.mark and not resolve.contains(known.orders, told.mark)
    local takes = (not known and is == 'C') or (is_new_order and (was == 'R' or was == 'E'))
    takes = takes or (is == 'H' and (not known or was == 'E') and told.at > now)
    if takes and not may_take then return true end
    if takes and is == 'H' then
      hold_anew(id, told)
    elseif takes then
      take_and_sell(id, told)
    elseif not known and is == 'H' then
      -- Its time is over: it takes nothing from those that live.
      bury(id, told, 'E', now)
    elseif not known then
      bury(id, told, is, told.at)
    elseif was == 'H' and is == 'H' then
      -- The longer life counts, and whatever either knows.
      known.extensions = math.max(known.extensions, told.extensions)
      if #told.keys > #known.keys then known.keys = told.keys end
      resolve.reschedule(id, known, math.max(known.at, told.at), known.mark == '1' and '1' or told.mark)
    elseif was == 'H' and is == 'C' then
      sell_held(id, known, told)
    elseif was == 'H' then
      book.end_hold(id, is, is == 'R' and 'released' or 'expired', told.at)
    elseif was == 'C' and is_new_order then
      resolve.tell_paid_too_late(id, known, told.mark)
    end
    tell_late_orders(id, told)
  end

  -- Units that were added, or as many of those that were withdrawn as are left.
  local function merge_restock(row)
    if shelf.restocks:get(row.id) then return end
    operate.keep_restock(row.id, row.text)
    book.fade(row.id, row.at)
    local stock = book.stock(row.sku)
    if not stock then return end
    operate.shift(row.sku, math.max(-stock.available, math.min(row.delta, BOUND.total - stock.total)))
  end

  local function rewind()
    local term, to_seq, rewinds = main:num('term'), sale.seq, sale.rewinds
    rewinds[#rewinds + 1] = { term = term, to_seq = to_seq }
    if #rewinds > BOUND.rewinds then
      local oldest = table.remove(rewinds, 1)
      rewinds[1].to_seq = math.min(rewinds[1].to_seq, oldest.to_seq)
    end
    book.emit('rewound ' .. fmt(term) .. ' ' .. fmt(to_seq))
  end

  -- Whether the rules are in force now.
  local function take_settings(settings)
    if settings.version <= sale.version then return true end
    if operate.why_not(settings.rules) then return false end
    sale.version = settings.version
    operate.take_rules(settings.rules, book.items())
    return true
  end

  -- What was staged, oldest first; and the rules, if any were.
  local function unstage()
    staged:load()
    local rows, settings = {}, nil
    for field, value in pairs(staged.known) do
      if value and field ~= LAST then
        local term, seq, text = string.match(value, '^(%S+) (%S+) (.*)$')
        local row = { key = string.match(field, '^%S+'), term = tonumber(term), seq = tonumber(seq), value = text }
        open_row(row)
        if row.key == 'g' then
          local version, born, rules = string.match(text, '^(%S+) (%S+) (.*)$')
          settings = { version = tonumber(version), born = tonumber(born), rules = rules }
        else
          rows[#rows + 1] = row
        end
        staged:set(field, false)
      end
    end
    table.sort(rows, function(a, b)
      if a.term ~= b.term then return a.term < b.term end
      if a.seq ~= b.seq then return a.seq < b.seq end
      if a.id ~= b.id then return a.id < b.id end
      return a.field < b.field
    end)
    return rows, settings
  end

  -- Reads at once what the rows are about.
  local function gather_rows(rows)
    local ids, skus, buyers = {}, {}, {}
    for _, row in ipairs(rows) do
      if row.told then
        ids[#ids + 1] = row.id
        if row.told.buyer ~= '-' then buyers[#buyers + 1] = row.told.buyer end
        for i = 1, #row.told.lines, 2 do skus[#skus + 1] = row.told.lines[i] end
      end
    end
    book.gather(ids, skus, buyers)
  end

  -- Changes of what is there first, then what takes units: sold ones before held ones, and withdrawals last. Rules that did
  -- not fit at first may fit in between.
  local function merge_all(rows, settings)
    local sold, held, withdrawals = {}, {}, {}
    for _, row in ipairs(rows) do
      if row.born ~= sale.born then
        -- Another sale's.
      elseif row.told then
        if is_news(row.id, row.term, row.seq, row.told) and merge(row.id, row.told, false) then
          local takes = row.told.state == 'C' and sold or held
          takes[#takes + 1] = row
        end
      else
        local sku, delta, at_ms = string.match(row.text, '^(%S+) (%S+) (%S+)$')
        row.sku, row.delta, row.at = sku, tonumber(delta), tonumber(at_ms)
        if row.delta > 0 then merge_restock(row) else withdrawals[#withdrawals + 1] = row end
      end
    end
    if settings and take_settings(settings) then settings = nil end
    for _, row in ipairs(sold) do merge(row.id, row.told, true) end
    for _, row in ipairs(held) do merge(row.id, row.told, true) end
    for _, row in ipairs(withdrawals) do merge_restock(row) end
    if settings then take_settings(settings) end
  end

  -- Applies what was staged. `heard` is nil for what is told when the sale is in service again.
  function recovery.finish(heard)
    local rows, settings = unstage()
    aggregate.exists()
    local born = sale and sale.born or main:num('buried') or 0
    local is_fresh = settings and settings.born > born
    if is_fresh then operate.make(settings.version, settings.born) end
    if not sale then return end
    if heard ~= nil then rewind() end
    local waits = false
    if is_fresh then
      operate.take_rules(settings.rules, {}, {})
    elseif settings and settings.born == sale.born then
      waits = not take_settings(settings)
    end
    gather_rows(rows)
    merge_all(rows, waits and settings)
    sale.last = now
    book.finish()
    book.settle()
  end
end)

function aggregate.replay() recovery.replay() end
function aggregate.recovered(heard) recovery.finish(heard) end
