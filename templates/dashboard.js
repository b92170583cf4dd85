'use strict';
// The operator's dashboard: asks for the rooms and sales and their numbers, and sends changes. Whole-line comments only.
{
const doc = document, $ = id => doc.getElementById(id), second = 1e3;
// So many rooms, and so many sales, are shown at once: each asks for its numbers. And so many items of a sale.
const SHOWN = 60, SALES_SHOWN = 20, ITEMS_SHOWN = 30;
const DOCUMENTS_EVERY = 5, STATUS_EVERY = 2;
const cards = new Map(), sales = new Map(), num = n => new Intl.NumberFormat('en').format(n);
let last = 0;

// One call: the body of a success, or an error with what to tell the operator.
const ask = async (path, method = 'GET', body, version, key) => {
  const headers = {};
  if (key) headers['Idempotency-Key'] = key;
  if (body) headers['Content-Type'] = 'application/json';
  if (version !== undefined) headers['If-Match'] = '"' + version + '"';
  const answer = await fetch(path, {method, headers, cache: 'no-store', body: body && JSON.stringify(body), signal: AbortSignal.timeout(10 * second)});
  // The sign-in is over: the page that comes instead asks for the key.
  if (answer.status == 401) location.reload();
  const result = await answer.json().catch(() => ({}));
  if (answer.ok) return result;
  throw Object.assign(new Error(result.detail || result.title || 'The answer was ' + answer.status + '.'), {code: answer.status});
};

const sure = (question, verb) => new Promise(decide => {
  const dialog = $('sure');
  $('ask').textContent = question;
  $('yes').textContent = verb;
  dialog.returnValue = '';
  dialog.onclose = () => decide(dialog.returnValue == 'yes');
  dialog.showModal();
});

const span = seconds => seconds < 90 ? seconds + ' s' : seconds < 5400 ? Math.round(seconds / 60) + ' min' : num(Math.round(seconds / 360) / 10) + ' h';
// The formula of room::estimate, for the last in line.
const wait = status => status.state == 'free' ? span(0)
  : status.state == 'running' && status.pace_per_minute ? span(Math.ceil(status.waiting * 60 / status.pace_per_minute.likely)) : '–';
const STATES = {scheduled: 'Not open yet', prequeue: 'Pre-queue', running: 'Running', free: 'Open to all', paused: 'Paused', closed: 'Closed'};
const CAUSES = {
  shop_full: 'The shop is full: as many are inside or called as the cap allows.',
  no_shows: 'Many who were called have not come. Their places pass on as they lapse.',
  stock: 'As many are called or inside as there are units. What comes back calls the next.',
};

const when = time => new Date(time).toLocaleString('en', {dateStyle: 'medium', timeStyle: 'short'});
const copy = template => $(template).content.firstElementChild.cloneNode(true);

// What a room's card and a sale's have in common.
class Panel {
  constructor(id, template) {
    this.id = id;
    this.root = copy(template);
  }
  at(selector) { return this.root.querySelector(selector); }
  all(selector) { return this.root.querySelectorAll(selector); }

  // Does something that a press began, and says how it ended.
  async work(task, done) {
    const said = this.at('.said'), buttons = this.all('button'), focused = doc.activeElement;
    buttons.forEach(button => button.disabled = true);
    try {
      await task();
      said.className = 'said';
      said.textContent = done;
      await this.refresh();
    } catch (error) {
      said.className = 'said bad';
      said.textContent = error.code == 412 ? 'Somebody else changed this room in the meantime. Look at it again, and repeat your change if you still want it.' : error.message;
      if (error.code == 412) ask(this.path()).then(room => this.set(room)).catch(() => { });
    }
    buttons.forEach(button => button.disabled = false);
    focused?.focus();
  }
}

class Card extends Panel {
  constructor(id) {
    super(id, 'card');
    this.at('.page').href = $('rooms').dataset.public.replace(/\/$/, '') + '/w/' + id;
    for (const button of this.all('[data-mode]')) button.onclick = () => this.turn(button.dataset.mode);
    for (const form of this.all('.set')) form.onsubmit = event => {
      event.preventDefault();
      const input = form.querySelector('input');
      this.change({[input.name]: input.value ? +input.value : null}, input.name == 'max_active' ? 'The cap is set.' : 'The rate is set.');
    };
    for (const input of this.all('input')) input.oninput = () => input.dataset.edited = 1;
    this.at('.reset').onclick = () => this.reset();
  }
  path(call = '') { return '/v1/rooms/' + this.id + call; }

  // The document: what was set.
  set(room) {
    this.room = room;
    this.at('h2').textContent = room.name;
    const shop = this.at('.shop');
    if (/^https?:/.test(room.shop_url)) shop.href = room.shop_url;
    shop.textContent = room.shop_url;
    for (const button of this.all('[data-mode]')) button.setAttribute('aria-pressed', button.dataset.mode == room.mode);
    for (const input of this.all('input')) {
      // What the operator is typing is not ours to overwrite.
      if (!input.dataset.edited) input.value = room[input.name] ?? '';
    }
  }

  // The status: what is.
  async refresh() {
    const status = await ask(this.path('/status'));
    this.status = status;
    this.root.className = status.state;
    this.at('.state').textContent = STATES[status.state] || status.state;
    const shown = {
      waiting: num(status.waiting), inside: num(status.inside), entering: num(status.entering_per_minute),
      head: num(status.head), tail: num(status.tail), wait: wait(status),
    };
    for (const [name, text] of Object.entries(shown)) this.at('[data-of=' + name + ']').textContent = text;
    const opens = status.state == 'scheduled' && status.opens_at && 'Opens ' + when(status.opens_at) + '.';
    const cause = status.state == 'running' ? CAUSES[status.held_back] : opens;
    this.at('.cause').hidden = !cause;
    this.at('.cause').textContent = cause || '';
  }

  async turn(mode) {
    if (mode == this.room.mode) return;
    const name = this.room.name, waiting = num(this.status?.waiting || 0);
    const agreed = mode == 'open' ? await sure('Let everybody into ' + name + ' at once, the ' + waiting + ' who wait included, without rate or cap?', 'Open to all')
      : mode == 'closed' ? await sure('Close ' + name + '? Nobody can join and nobody is called. The ' + waiting + ' who wait keep their places.', 'Close') : true;
    if (agreed) await this.change({mode}, {queue: 'The line runs.', hold: 'The line is paused.', open: 'Everybody passes.', closed: 'The room is closed.'}[mode]);
  }

  async reset() {
    const question = 'Reset the line of ' + this.room.name + '? The ' + num(this.status?.waiting || 0) + ' who wait lose their places, and the ' + num(this.status?.inside || 0) + ' inside lose their sessions. This cannot be undone.';
    if (await sure(question, 'Reset the line')) await this.work(() => ask(this.path('/reset'), 'POST', {}), 'The line is empty and starts at 1.');
  }

  change(patch, done) {
    return this.work(async () => {
      const room = await ask(this.path(), 'PATCH', patch, this.room.version);
      for (const key of Object.keys(patch)) {
        for (const input of this.all('[name=' + key + ']')) delete input.dataset.edited;
      }
      this.set(room);
    }, done);
  }
}

// A name of our own for a call, so that it is done once though it be sent twice. Not every page may make UUIDs.
const name = () => [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte.toString(16).padStart(2, '0')).join('');
const SALE_STATES = {scheduled: 'Not open yet', open: 'Selling', closed: 'Closed', needs_operator: 'Lost by its store'};
const LOST = 'What was sold and held in it is not known any more, so it sells nothing. Settle that with your buyers; then delete the sale by its version and put it again.';

class Sale extends Panel {
  constructor(id) {
    super(id, 'sale');
    this.rows = new Map();
  }
  path(call = '') { return '/v1/sales/' + this.id + call; }
  set() { }

  async refresh() {
    const sale = await ask(this.path());
    this.root.className = sale.state;
    this.at('h2').textContent = sale.name;
    this.at('.state').textContent = SALE_STATES[sale.state] || sale.state;
    const terms = [sale.state == 'scheduled' && 'Opens ' + when(sale.opens_at), sale.closes_at && (sale.state == 'closed' ? 'Closed ' : 'Closes ') + when(sale.closes_at), 'A hold lives ' + span(sale.hold_seconds)];
    this.at('.terms').textContent = sale.state == 'needs_operator' ? LOST : terms.filter(Boolean).join(' · ');
    for (const column of ['available', 'held', 'sold']) {
      this.at('[data-of=' + column + ']').textContent = num(sale.items.reduce((sum, item) => sum + (item[column] || 0), 0));
    }
    const here = sale.items.slice(0, ITEMS_SHOWN);
    for (const item of here) this.row(item.sku).show(item);
    for (const [sku, row] of this.rows) {
      if (here.some(item => item.sku == sku)) continue;
      row.root.remove();
      this.rows.delete(sku);
    }
    this.at('.rest').hidden = sale.items.length <= ITEMS_SHOWN;
    this.at('.rest').textContent = num(sale.items.length - ITEMS_SHOWN) + ' more items are counted above and not listed here.';
  }

  row(sku) {
    if (!this.rows.has(sku)) {
      const row = new Item(this, sku);
      this.rows.set(sku, row);
      this.at('.items').append(row.root);
    }
    return this.rows.get(sku);
  }
}

class Item {
  constructor(sale, sku) {
    this.root = copy('item');
    this.at('.dim').textContent = sku;
    const form = this.at('form'), input = this.at('input');
    // The same press repeated after an unclear answer is the same restock; another number is another.
    let key = name();
    input.oninput = () => key = name();
    form.onsubmit = event => {
      event.preventDefault();
      const delta = +input.value.replace('−', '-');
      sale.work(async () => {
        await ask(sale.path('/items/' + encodeURIComponent(sku) + '/restock'), 'POST', {delta}, undefined, key);
        key = name();
        input.value = '';
        this.at('details').open = false;
      }, delta < 0 ? num(-delta) + ' units of ' + sku + ' are withdrawn.' : num(delta) + ' units of ' + sku + ' are added.');
    };
  }
  at(selector) { return this.root.querySelector(selector); }

  show(item) {
    this.at('b').textContent = item.name;
    for (const [part, units] of [['free', item.available], ['held', item.held], ['sold', item.sold]]) {
      this.at('.bar .' + part).style.flexGrow = units;
    }
    // A cache in between may have answered with what everybody sees.
    if (item.total === undefined) return;
    const last = item.stock == 'all_held' ? ' · all held' : item.stock == 'sold_out' ? ' · sold out' : '';
    this.at('.counts').textContent = num(item.available) + ' available · ' + num(item.held) + ' held · ' + num(item.sold) + ' sold, of ' + num(item.total) + last;
  }
}

// Keeps one card for each of the documents that are shown, in their order of coming.
const keep = (all, documents, place, make) => {
  for (const {id} of documents) {
    if (all.has(id)) continue;
    const card = make(id);
    all.set(id, card);
    place.append(card.root);
  }
  for (const [id, card] of all) {
    if (documents.some(document => document.id == id)) continue;
    card.root.remove();
    all.delete(id);
  }
};

const documents = async () => {
  const [{rooms}, selling] = await Promise.all([ask('/v1/rooms'), ask('/v1/sales')]), here = rooms.slice(0, SHOWN);
  keep(cards, here, $('rooms'), id => new Card(id));
  for (const room of here) cards.get(room.id).set(room);
  keep(sales, selling.sales.slice(0, SALES_SHOWN), $('sales'), id => new Sale(id));
  $('none').hidden = rooms.length || selling.sales.length;
  $('none').textContent = 'There is no room yet.';
  $('more').hidden = rooms.length <= SHOWN;
  $('more').textContent = num(rooms.length - SHOWN) + ' more rooms are not shown here.';
  $('more-sales').hidden = selling.sales.length <= SALES_SHOWN;
  $('more-sales').textContent = num(selling.sales.length - SALES_SHOWN) + ' more sales are not shown here.';
};

// One beat at a time; a hidden page asks for nothing.
let beat = 0, timer, busy;
const tick = async () => {
  if (busy || doc.hidden) return;
  busy = true;
  clearTimeout(timer);
  try {
    if (beat++ * STATUS_EVERY % DOCUMENTS_EVERY < STATUS_EVERY) await documents();
    await Promise.all([...cards.values(), ...sales.values()].map(card => card.refresh()));
    last = Date.now();
    $('fresh').className = '';
    $('fresh').textContent = '';
  } catch (error) {
    $('fresh').className = 'late';
    $('fresh').textContent = 'No news' + (last ? ' since ' + new Date(last).toLocaleTimeString('en') : '') + ': ' + error.message;
  }
  busy = false;
  timer = setTimeout(tick, STATUS_EVERY * second);
};
doc.addEventListener('visibilitychange', tick);
tick();
}
