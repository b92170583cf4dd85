'use strict';
// The waiting page's script. It is constant, and sent to every visitor as it stands here but for comment lines,
// so each comment is a line of its own. It is one block, so that nothing in it becomes global.
{
const doc = document, $ = id => doc.getElementById(id), second = 1e3, random = Math.random, {max, min, floor, ceil} = Math;
const data = JSON.parse($('data').textContent), name = 'dropgate-' + data.room;
const query = new URLSearchParams(location.search), target = query.get('t') || query.get('rd');

// The first language of the browser that we speak; numbers and times follow its full tag (de-CH).
const base = tag => tag.split('-')[0].toLowerCase();
const locale = (navigator.languages || []).find(tag => data.texts[base(tag)]) || 'en', lang = base(locale);
const T = {}, words = data.texts[lang].split('|');
data.keys.split('|').forEach((key, i) => T[key] = words[i]);
const own = text => !text || typeof text == 'string' ? text : text[locale] || text[lang] || text.en || Object.values(text)[0];
const title = own(data.title);
const num = (n, how) => new Intl.NumberFormat(locale, how).format(n);
const clock = (time, how) => new Intl.DateTimeFormat(locale, how).format(time);

// place: what /place said, {state: 'none'} without a ticket, undefined before we asked.
// offset: server time less ours. stopped: 1 we went and are still here, 2 the shop sent us back.
// bare: cookies are blocked, we carry the ticket. fresh: joined, not yet sure that the cookie was kept; or what there is
// to buy has changed, and our chance with it.
let place, status, head = 0, epoch, offset = -1 / 0, seen, fails = 0, pause, timer, busy, again;
let url, got, stopped, gone, rang, waited, asked = 0, ticket, bare, fresh, rate, stock, from, fromKey, said, step, audio, tabs;
const lead = () => offset > -1 / 0 ? offset : 0, now = () => Date.now() + lead();
const isOver = () => /lapsed|over|reset/.test(place?.state);

// Memory: of this browser for whether it joined, of this tab for all else. Where the browser keeps none, the
// tab's name remembers the one thing that must be.
const keep = (key, value) => {
  try {
    const memory = key == 'in' ? localStorage : sessionStorage;
    if (value === undefined) return memory.getItem(name + key);
    memory.setItem(name + key, value);
  } catch {
    if (key == 'went') return value ? self.name = value : self.name;
  }
};

// One call. Throws the seconds to wait, or any error, where there is no answer to act on.
const ask = async (what, body) => {
  const headers = {}, stop = new AbortController(), limit = setTimeout(() => stop.abort(), 10 * second), mine = what != 'status';
  if (body) headers['Content-Type'] = 'application/json';
  if (bare && mine) headers['X-Dropgate-Ticket'] = ticket;
  try {
    const answer = await fetch('/v1/rooms/' + data.room + '/' + what, {method: body ? 'POST' : 'GET', headers, body: body && JSON.stringify(body), signal: stop.signal});
    const get = header => answer.headers.get(header), code = answer.status, sent = Date.parse(get('Date'));
    if (code == 429 || code > 499) throw +get('Retry-After');
    // Date is in whole seconds, and the way here took time: the largest lead is the truest, unless a clock was set.
    const lead = sent + get('Age') * second - Date.now();
    if (lead > offset || offset - lead > 120 * second) offset = lead;
    if (code == 401 && ticket && mine) {
      // The browser did not send the ticket we were given. If it is ours to carry and still refused, it is void.
      bare = !bare;
      if (bare) return ask(what, body);
      ticket = 0;
    }
    return {...await answer.json().catch(() => ({})), code, sent};
  } finally {
    clearTimeout(limit);
  }
};

const end = answer => place = {state: answer.reason == 'reset' ? 'reset' : /over$/.test(answer.type) ? 'over' : 'lapsed'};
const look = async () => {
  const answer = await ask('place');
  if (answer.code == 410) end(answer);
  else place = answer.code == 200 ? answer : {state: 'none'};
};
const join = async () => {
  const answer = await ask('tickets', {});
  if (!answer.number) return;
  place = {state: answer.called ? 'called' : 'waiting', position: answer.number};
  keep('ticket', ticket = answer.ticket);
  keep('in', fresh = 1);
  keep('left', 0);
  bare ||= !navigator.cookieEnabled;
  tabs?.postMessage(0);
};
// Tabs share one join: the second one in finds the first one's cookie. Locks are refused where cookies are.
const locked = async work => {
  let ran;
  try {
    await navigator.locks.request(name, () => work(ran = 1));
  } catch (error) {
    if (ran) throw error;
    await work();
  }
};
// A newcomer has no place to ask for; whoever was here before may have one that is over, and is only told so.
const enrol = async () => {
  if (!place && keep('in')) await look();
  if (!place || place.state == 'none') await join();
  place ||= {state: 'none'};
};
const leave = message => {
  place = {state: message};
  keep('in', '');
  keep('left', Date.now());
};

const called = () => {
  if (place?.state == 'waiting') {
    waited = 1;
    if (head >= place.position) place.state = 'called';
  }
};
const poll = async () => {
  const answer = await ask('status');
  asked = Date.now();
  if (answer.code == 404) answer.state = 'closed';
  else if (answer.code != 200) throw 0;
  // Another edge may hold an older copy than the one we saw.
  if (!status || !(Date.parse(answer.updated_at) < Date.parse(status.updated_at))) status = answer;
  seen = answer.sent - lead();
  rate ??= status.rate_per_minute;
  if (stock != (stock = status.stock)) fresh = 1;
  if (epoch != status.epoch) {
    if (epoch) await look();
    epoch = status.epoch;
    head = 0;
  }
  head = max(head, status.head || 0);
};

const claim = async () => {
  const answer = await ask('passes', target ? {return_url: target} : {});
  if (answer.code == 200) {
    place = {...place, state: 'inside', deadline: answer.expires_at};
    url = answer.redirect_to;
    got = Date.now();
  } else if (answer.code == 410) end(answer);
  else place.state = answer.code == 202 ? 'waiting' : 'none';
};
// A hidden tab claims, because its turn would pass; it goes to the shop when somebody looks at it.
const turn = async () => {
  if (place.state == 'called' || !doc.hidden && !(Date.now() - got < 60 * second)) await claim();
  if (place.state != 'inside') return;
  if (!rang) {
    rang = true;
    ring();
    if (navigator.userActivation?.hasBeenActive) navigator.vibrate?.([200, 100, 200]);
  }
  // Time to hear and see it; who never waited has nothing to be told.
  setTimeout(go, waited ? 1.2 * second : 0);
};
const go = byHand => {
  if (gone || place.state != 'inside' || !byHand && (stopped || doc.hidden)) return;
  keep('went', Date.now());
  gone = true;
  location.replace(url);
  // If we are still here then, the shop did not open.
  setTimeout(() => {
    gone = false;
    stopped = 1;
    render();
  }, 10 * second);
  render();
};

// At once, but not within the second for which caches keep the status: they would only repeat it.
const soon = () => {
  clearTimeout(timer);
  timer = setTimeout(tick, asked + 1.1 * second - Date.now());
};
const tick = async () => {
  // What is under way may have begun before whatever calls for news now.
  if (busy) return again = true;
  busy = true;
  clearTimeout(timer);
  try {
    const old = place;
    if (isOver()) {
      if (keep('in')) await look();
      // Whoever is out of the line comes back by hand only.
      if (place.state == 'none') place = old;
    } else {
      await Promise.all([poll(), !old && locked(enrol)]);
      if (old?.state == 'none' && status.state != 'closed') await locked(enrol);
      if (fresh && old || Date.parse(place.deadline) < now()) {
        await look();
        fresh = 0;
      }
      called();
      if (place.state == 'called' || place.state == 'inside' && !stopped) await turn();
    }
    fails = 0;
  } catch (error) {
    fails++;
    pause = error > 0 ? error : 0;
  }
  busy = false;
  render();
  if (again) soon(again = false);
  else if (fails || !isOver()) timer = setTimeout(tick, next() * second);
};
const wake = () => doc.hidden || (busy ? again = true : soon());

// The formula of room::estimate, in seconds. None while nothing can be said. A line that waits for units may move at
// any time: those next in line look more often.
const estimate = () => {
  const pace = status.pace_per_minute, at = speed => (ahead() + 1) * 60 / speed;
  if (status.state == 'free') return {low: 0, likely: 0, high: 0};
  if (status.state == 'running' && pace && status.held_back != 'stock') return {low: floor(at(pace.high)), likely: ceil(at(pace.likely)), high: ceil(at(pace.low))};
};
// A void, first and last number, holds nobody. One that a status of before our number can't know of is wide.
const ahead = () => {
  const before = place.position - status.tail > 1e5 ? status.tail : place.position - 1;
  return (status.voids || []).reduce((count, [first, last]) => count - max(0, min(last, before) - max(first - 1, head)), max(0, before - head));
};
const opening = () => (Date.parse(status.opens_at) - now()) / second;
// Seconds to the next poll.
const next = () => {
  if (fails) return max(pause, min(30, 2 ** fails)) * (.7 + .6 * random());
  const wait = status.state == 'scheduled' ? opening() : place.position && (estimate()?.likely ?? (status.held_back && 20 * ahead()));
  return min((status.claim_window_seconds || 180) / 4, min(30, max(2, (wait ?? 300) / 10)) * (.8 + .4 * random()));
};

const unit = (low, high, unit) => {
  const format = new Intl.NumberFormat(locale, {style: 'unit', unit, unitDisplay: 'long'});
  return low < high && format.formatRange ? format.formatRange(low, high) : format.format(high);
};
const span = ({low, high}) => high < 60 ? T.soon
  : high < 5400 ? unit(max(1, floor(low / 60)), ceil(high / 60), 'minute')
  : unit(max(.5, floor(low / 1800) / 2), ceil(high / 1800) / 2, 'hour');
const countdown = () => {
  const left = max(0, ceil(opening())), two = n => num(floor(n), {minimumIntegerDigits: 2});
  return left > 172800 ? unit(0, floor(left / 86400), 'day') : [left / 3600, left / 60 % 60, left % 60].map(two).join(':');
};

const put = (id, text) => {
  const it = $(id);
  it.hidden = !text;
  if (it.textContent != text) it.textContent = text || '';
};
const fact = (id, label, text) => {
  put(id, text);
  $(id).parentNode.hidden = !text;
  $(id).previousSibling.textContent = label;
};
// Which of its faces the page shows.
const face = () => {
  const state = place?.state;
  if (isOver()) return state;
  if (!status || !state || state == 'none') return status?.state == 'closed' && state ? 'closed' : 'load';
  if (/called|inside/.test(state)) return 'turn';
  return {scheduled: 'soon', paused: 'pause', closed: 'closed'}[status.state] || (stock == 'sold_out' ? 'sold' : ahead() ? 'line' : 'next');
};
const render = () => {
  const is = face(), out = isOver(), mine = !out && status && place?.position, moves = /line|next/.test(is);
  const wait = moves && estimate(), few = place?.chance == 'unlikely', counted = mine && /line|next|pause|closed/.test(is), trouble = fails > 1;
  const heading = T['h_' + (is == 'reset' ? 'over' : is)], big = counted ? num(ahead()) : is == 'soon' ? countdown() : '';
  const until = is == 'turn' && place.deadline && T.until.replace('{}', clock(Date.parse(place.deadline) - lead(), {timeStyle: 'short'}));
  const text = is == 'turn' ? gone ? T.turn_t : (stopped == 2 ? T.back + ' ' : '') + (until || '') : moves ? T.line_t : (T[is + '_t'] || '') + (counted ? ' ' + T.kept : '');
  doc.body.className = is;
  put('head', heading);
  put('big', big);
  $('big').className = big.length > 6 ? 'long' : '';
  put('label', counted ? T.ahead : big && clock(Date.parse(status.opens_at) - lead(), {dateStyle: 'full', timeStyle: 'short'}));
  put('wait', moves && [stock == 'in_stock' && T.stock, wait && T.wait + ': ' + span(wait)].filter(text => text).join('\n'));
  // Without cookies a reload is not safe; the note says what is.
  put('text', bare && moves ? '' : text);
  put('act', out ? T.again : is == 'sold' ? T.leave : place?.state == 'inside' && T.go);
  put('note', trouble ? T.trouble + (mine ? ' ' + T.kept : '')
    : moves && (stock == 'all_held' ? T.held.replace('{}', status.stock_held ? ' (' + num(status.stock_held) + ')' : '') : few ? T.few : status.held_back ? T[{shop_full: 'full', stock: 'few'}[status.held_back] || 'ghosts'] : status.rate_per_minute < rate && T.slower));
  put('bare', mine && bare && T.cookies);
  fact('mine', T.num, mine && num(mine));
  fact('now', T.head, mine && num(head));
  fact('seen', T.upd, !out && seen && clock(seen, {timeStyle: 'medium'}));
  $('tools').hidden = $('bar').hidden = !mine || is == 'sold';

  // How far the line has brought us, from how far off our turn was when this tab first saw our number.
  const key = 'off' + epoch + '.' + mine, left = mine > head ? ahead() + 1 : 0;
  if (mine && fromKey != key) keep(fromKey = key, from = +(keep(key) ?? left));
  const done = is == 'turn' ? 1 : from ? max(0, 1 - left / from) : 0;
  $('bar').style.setProperty('--p', done);
  $('bar').setAttribute('aria-valuenow', floor(done * 100));
  doc.title = (is == 'turn' ? '● ' + heading + ' · ' : counted ? big + ' · ' : '') + title;

  // Said aloud: another face, trouble and its end, and a wait that has come a step nearer. Nothing else.
  const level = is + trouble, now = wait ? [60, 120, 300, 600, 1200, 1800, 3600].filter(limit => wait.likely > limit).length : 0;
  if (is != 'load' && (said != level || now < step)) {
    said = level;
    step = now;
    $('live').textContent = heading + '. ' + (trouble ? $('note').textContent : moves ? big + ' ' + T.ahead + '. ' + $('wait').textContent : text || '');
  }
};

const ring = () => audio && [523, 659, 784].forEach((pitch, i) => {
  const tone = audio.createOscillator(), gain = audio.createGain(), start = audio.currentTime + i / 5;
  tone.frequency.value = pitch;
  gain.gain.setValueAtTime(.3, start);
  gain.gain.exponentialRampToValueAtTime(.001, start + 1);
  tone.connect(gain).connect(audio.destination);
  tone.start(start);
  tone.stop(start + 1);
});
// Something that a press began: what goes wrong is shown at once.
const act = async work => {
  try {
    await work();
    fails = 0;
  } catch {
    fails = 2;
  }
  render();
};
const listen = () => {
  $('act').onclick = () => act(async () => {
    if (face() == 'sold') return $('sure').showModal();
    if (isOver()) {
      rang = url = got = stopped = waited = 0;
      place = {state: 'none'};
      await locked(join);
      return tick();
    }
    await claim();
    go(1);
  });
  $('snd').onclick = () => {
    audio = audio ? audio.close() && 0 : new AudioContext();
    ring();
    $('snd').setAttribute('aria-pressed', !!audio);
  };
  $('leave').onclick = () => $('sure').showModal();
  $('sure').onclose = () => $('sure').returnValue && act(async () => {
    await ask('leave', {});
    leave('over');
    tabs?.postMessage('over');
  });
  doc.addEventListener('visibilitychange', wake);
  addEventListener('online', wake);
  addEventListener('pageshow', event => {
    if (!event.persisted) return;
    gone = false;
    stopped = 2;
    wake();
  });
  setInterval(() => face() == 'soon' && put('big', countdown()), second);
  try {
    tabs = new BroadcastChannel(name);
    tabs.onmessage = ({data}) => {
      if (data) leave(data);
      else place = 0;
      tick();
    };
    // Browsers put no tab to sleep that holds a lock.
    navigator.locks.request(name + '-awake', {mode: 'shared'}, () => new Promise(() => { })).catch(() => { });
  } catch { }
};
const begin = () => {
  doc.documentElement.lang = locale;
  doc.documentElement.dir = lang == 'ar' ? 'rtl' : 'ltr';
  for (const id of ['snd', 'leave', 'stay']) put(id, T[id]);
  put('yes', T.leave);
  put('ask', T.sure);
  put('title', title);
  put('msg', own(data.message));
  ticket = keep('ticket');
  if (Date.now() - keep('went') < 30 * second) stopped = 2;
  // A reload after leaving is no new visit.
  if (Date.now() - keep('left') < 600 * second) place = {state: 'over'};
  listen();
  render();
  $('plain').remove();
  $('main').hidden = false;
  tick();
};
if (doc.prerendering) doc.addEventListener('prerenderingchange', begin, {once: true});
else begin();
}
