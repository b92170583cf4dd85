-- What the operator does: configure, restock, withdraw.

local operate = part(function(operate)
  -- Why a SKU's total can't change by `delta`; `field` is the one it came in.
  local function check_delta(field, sku, stock, delta)
    if stock.available + delta < 0 then
      return 'x conflict ' .. sku .. ': only ' .. fmt(stock.available) .. ' available to withdraw'
    end
    if stock.total + delta > BOUND.total then
      return 'x invalid ' .. field .. ' ' .. sku .. ': the total would exceed ' .. fmt(BOUND.total)
    end
  end

  -- Why rules can't be taken: nothing that is held or sold may vanish, and available may not fall below zero.
  function operate.why_not(text)
    local _, wanted = book.read_items(text)
    for _, item in ipairs((book.items())) do
      local stock, new = book.stock(item.sku), wanted[item.sku]
      local refusal
      if new then
        refusal = check_delta('total', item.sku, stock, new.total - item.total)
      elseif stock.held + stock.sold > 0 then
        refusal = 'x conflict ' .. item.sku .. " has units held or sold and can't be removed"
      end
      if refusal then return refusal end
    end
  end

  -- Changes total and available of a SKU by a delta that was checked.
  function operate.shift(sku, delta)
    if delta == 0 then return end
    local levels = book.levels({ sku, 0 })
    local stock = book.stock(sku)
    stock.total, stock.available = stock.total + delta, stock.available + delta
    sale.available = sale.available + delta
    book.dirty_stock[sku] = true
    book.emit('restocked ' .. sku .. ' ' .. fmt(delta))
    book.tell_levels(levels)
  end

  function operate.take_rules(text, old_list, old_items)
    local list, items, head = book.read_items(text)
    for _, item in ipairs(old_list) do
      if not items[item.sku] then
        operate.shift(item.sku, -book.stock(item.sku).available)
        book.stocks[item.sku] = false
        book.dirty_stock[item.sku] = true
      end
    end
    for _, item in ipairs(list) do
      local old = old_items[item.sku]
      local stock = book.stock(item.sku)
      if not stock then
        stock = { total = 0, available = 0, held = 0, sold = 0 }
        book.stocks[item.sku] = stock
      end
      stock.per_buyer = item.per_buyer
      book.dirty_stock[item.sku] = true
      operate.shift(item.sku, item.total - (old and old.total or 0))
    end
    sale.rules, sale.parsed = head, nil
    shelf.stock:set(RULES, text)
  end

  -- A sale without units yet.
  function operate.make(version, born)
    book.wipe()
    sale = { version = version, born = born, last = now, available = 0, held = 0, seq = 0, first = 1 }
    sale.checkpoints, sale.rewinds = {}, {}
  end

  -- Makes the sale, or changes its settings. A changed total restocks or withdraws the difference to the former document's.
  function operate.configure(ask)
    if not sale or sale.born < ask.born then
      if not ask.makes then
        tell('x needs_operator')
        return false
      end
      operate.make(ask.version, ask.born)
      -- All its units are available; folding its outbox from nothing gives them.
      operate.take_rules(ask.rules, {}, {})
      tell('done')
      return true
    end
    if ask.born ~= sale.born or ask.version <= sale.version then
      tell('done')
      return false
    end
    local refusal = operate.why_not(ask.rules)
    if refusal then
      tell(refusal)
      return false
    end
    sale.version = ask.version
    operate.take_rules(ask.rules, book.items())
    tell('done')
    return true
  end

  function operate.consider(ask)
    tell(operate.why_not(ask.rules) or 'done')
    return false
  end

  -- Forgets the sale, if it was not born later. Whether it did.
  function operate.delete(ask)
    tell('done')
    if not sale or sale.born > ask.born then return false end
    main:put('buried', math.max(main:num('buried') or 0, sale.born))
    book.wipe()
    return true
  end

  function operate.tell_restock(id, text) fact('k' .. id, fmt(sale.born) .. ' ' .. text) end

  function operate.keep_restock(id, text)
    shelf.restocks:set(id, book.row_stamp() .. text)
    operate.tell_restock(id, text)
  end

  -- Adds units to a SKU, or withdraws some that are available. The same id again changes nothing.
  function operate.restock(ask)
    local row = shelf.restocks:get(ask.id)
    if row then
      operate.tell_restock(ask.id, string.match(row, '^%S+ %S+ (.*)$'))
      local sku, delta = string.match(row, '^%S+ %S+ (%S+) (%S+)')
      tell(sku == ask.sku and tonumber(delta) == ask.delta and 'done' or 'x key_reused')
      return false
    end
    local stock = book.stock(ask.sku)
    if not stock then
      tell('x unknown_sku', ask.sku)
      return false
    end
    if ask.delta == 0 or math.abs(ask.delta) > BOUND.total then
      local most = fmt(BOUND.total)
      tell('x invalid delta must be from -' .. most .. ' to ' .. most .. ', and not 0')
      return false
    end
    local refusal = check_delta('delta', ask.sku, stock, ask.delta)
    if refusal then
      tell(refusal)
      return false
    end
    operate.keep_restock(ask.id, table.concat({ ask.sku, fmt(ask.delta), fmt(now) }, ' '))
    book.fade(ask.id)
    operate.shift(ask.sku, ask.delta)
    tell('done')
    return true
  end
end)
