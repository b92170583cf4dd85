'use strict';
// The waiting page's script. It is constant and is sent to every visitor as it stands here, without these
// comment lines; each comment is a line of its own. It is a block, so that nothing in it becomes global.
{
const doc = document, $ = id => doc.getElementById(id), view = {};
const data = JSON.parse($('data').textContent), name = 'dropgate-' + data.room;
const query = new URLSearchParams(location.search), target = query.get('t') || query.get('rd');
const second = 1e3, random = Math.random;

// The first language of the browser that we speak. Numbers and times follow the full tag (de-CH).
const base = tag => tag.split('-')[0].toLowerCase();
const locale = (navigator.languages || []).find(tag => data.texts[base(tag)]) || 'en', lang = base(locale);
const T = {}, words = data.texts[lang].split('|');
data.keys.split('|').forEach((key, i) => T[key] = words[i]);
const own = text => !text || text.big ? text : text[locale] || text[lang] || text.en || Object.values(text)[0];
const title = own(data.title);
const num = (n, how) => new Intl.NumberFormat(locale, how).format(n);
const clock = (time, how) => new Intl.DateTimeFormat(locale, how || {timeStyle: 'medium'}).format(time);

// place: what /place said, {state: 'none'} without a ticket, undefined before we asked.
// offset: server time less ours. stopped: the shop sent us back, or nothing remembers that we went.
let place, status, head = 0, epoch, offset = -1 / 0, seen, fails = 0, pause = 0, timer, busy, again;
let url, got, stopped, gone, rang, ticket, bare, fresh, rate, spoken, audio;
const now = () => Date.now() + (offset > -1 / 0 ? offset : 0);

// Memory of this tab. Returns nothing where the browser keeps none.
const keep = (key, value) => {
  try {
    const store = sessionStorage;
    if (value === undefined) return store.getItem(name + key);
    store.setItem(name + key, value);
    return true;
  } catch { }
};

// One call. Throws the seconds to wait, or any error, where there is no answer to act on.
const ask = async (what, body) => {
  const headers = {}, stop = new AbortController(), limit = setTimeout(() => stop.abort(), 10 * second);
  if (body) headers['Content-Type'] = 'application/json';
  if (bare && what != 'status') headers['X-Dropgate-Ticket'] = ticket;
  try {
    const answer = await fetch('/v1/rooms/' + data.room + '/' + what, {method: body ? 'POST' : 'GET', headers, body: body && JSON.stringify(body), signal: stop.signal});
    const get = header => answer.headers.get(header), code = answer.status;
    if (code == 429 || code > 499) throw +get('Retry-After') || 0;
    // Date is whole seconds, rounded down, and the way here took time: the largest offset is the truest,
    // unless our own clock was set.
    const sent = Date.parse(get('Date')), lead = sent + get('Age') * second - Date.now();
    if (lead > offset || offset - lead > 5 * second) offset = lead;
    const result = {...await answer.json().catch(() => ({})), code, sent};
    // A ticket that we hold and the browser does not send: cookies are blocked, so we carry it ourselves.
    if (code == 401 && ticket && what != 'status') {
      if (bare) ticket = bare = undefined;
      else {
        bare = true;
        return ask(what, body);
      }
    }
    return result;
  } finally {
    clearTimeout(limit);
  }
};

const ended = answer => place = {state: answer.reason == 'reset' ? 'reset' : /over$/.test(answer.type) ? 'over' : 'lapsed'};
const look = async () => {
  const answer = await ask('place');
  if (answer.code == 410) ended(answer);
  else place = answer.code == 200 ? answer : {state: 'none'};
};
const join = async () => {
  const answer = await ask('tickets', {});
  if (answer.number) {
    place = {state: answer.called ? 'called' : 'waiting', position: answer.number};
    keep('ticket', ticket = answer.ticket);
    fresh = true;
    tabs?.postMessage(0);
  }
};
// Tabs share one join: the second one in finds the first one's cookie.
const locked = work => navigator.locks ? navigator.locks.request(name, work) : work();
const enrol = () => locked(async () => {
  await look();
  if (place.state == 'none') await join();
});
const rejoin = () => locked(join);

const poll = async () => {
  const answer = await ask('status');
  if (answer.code == 404) answer.state = 'closed';
  // An edge may hold an older copy than the one we saw.
  if (!status || !(Date.parse(answer.updated_at) < Date.parse(status.updated_at))) status = answer;
  seen = answer.sent;
  rate ??= status.rate_per_minute;
  if (epoch != status.epoch) {
    const first = epoch === undefined;
    epoch = status.epoch;
    head = 0;
    if (!first) await look();
  }
  head = Math.max(head, status.head || 0);
  if (place?.state == 'waiting' && head >= place.position) place.state = 'called';
};

const claim = async () => {
  const answer = await ask('passes', target ? {return_url: target} : {});
  if (answer.code == 200) {
    place = {...place, state: 'inside', deadline: answer.expires_at};
    url = answer.redirect_to;
    got = Date.now();
  } else if (answer.code == 410) ended(answer);
  else if (answer.code == 401) place = {state: 'none'};
  else if (answer.code == 202) place.state = 'waiting';
};
// A hidden tab claims too, because its turn would lapse, but goes to the shop only when somebody looks.
const turn = async () => {
  if (place.state == 'called' || !url || Date.now() - got > 60 * second) await claim();
  if (place.state != 'inside') return;
  if (!rang) {
    rang = true;
    ring();
    // Browsers note it as a fault where nobody has touched the page yet.
    if (navigator.userActivation?.hasBeenActive) navigator.vibrate?.([200, 100, 200]);
  }
  if (!doc.hidden) setTimeout(go, 1.2 * second);
};
const go = async byHand => {
  if (gone || place.state != 'inside' || (stopped || doc.hidden) && byHand != 1) return;
  if (!keep('went', Date.now()) && byHand != 1) stopped = 1;
  else {
    gone = true;
    location.replace(url);
    // If we are still here in a while, the shop did not open.
    setTimeout(() => {
      gone = false;
      stopped = 1;
      render();
    }, 10 * second);
  }
  render();
};

const tick = async () => {
  if (busy) return again = true;
  busy = true;
  clearTimeout(timer);
  try {
    const old = place, over = /lapsed|over|reset/.test(old?.state);
    if (over) {
      await look();
      // Whoever missed a turn joins by hand only.
      if (place.state == 'none') place = old;
    } else {
      const open = !status || status.state != 'closed';
      await Promise.all([poll(), (!old || old.state == 'none' && open) && enrol()]);
      if (fresh && old) {
        // Once after a join: did the browser keep the cookie?
        await look();
        fresh = false;
      }
      if (place.state == 'inside' && now() > Date.parse(place.deadline)) await look();
      if (place.state == 'waiting' && head >= place.position) place.state = 'called';
      if (place.state == 'called' || place.state == 'inside' && !stopped) await turn();
    }
    fails = 0;
  } catch (error) {
    fails++;
    pause = error > 0 ? error : 0;
  }
  busy = false;
  render();
  clearTimeout(timer);
  if (again) {
    again = false;
    tick();
  } else if (!/lapsed|over|reset/.test(place?.state) || fails) timer = setTimeout(tick, next() * second);
};

// The formula of room::estimate. Seconds; none while nothing can be said.
const estimate = ahead => {
  const pace = status.pace_per_minute;
  if (!/running/.test(status.state) || !pace) return;
  const at = speed => Math.ceil((ahead + 1) * 60 / Math.max(speed, 1));
  return {low: at(pace.high), likely: at(pace.likely), high: at(pace.low)};
};
const ahead = () => Math.max(0, place.position - head - 1);
const opening = () => Date.parse(status.opens_at) - now();
// Seconds to the next poll.
const next = () => {
  if (fails) return Math.max(pause, Math.min(30, 2 ** fails)) * (.7 + .6 * random());
  const most = (status.claim_window_seconds || 180) / 4;
  const wait = status.state == 'scheduled' ? opening() / second : place.position && estimate(ahead())?.likely;
  return Math.min(most, Math.min(30, Math.max(2, (wait ?? 300) / 10)) * (.8 + .4 * random()));
};

const unit = (low, high, of) => {
  const format = new Intl.NumberFormat(locale, {style: 'unit', unit: of, unitDisplay: 'long'});
  return low < high && format.formatRange ? format.formatRange(low, high) : format.format(high);
};
const span = wait => wait.high < 60 ? T.soon
  : wait.high < 5400 ? unit(Math.max(1, Math.floor(wait.low / 60)), Math.ceil(wait.high / 60), 'minute')
  : unit(Math.max(.5, Math.floor(wait.low / 1800) / 2), Math.ceil(wait.high / 1800) / 2, 'hour');
const countdown = () => {
  const left = Math.max(0, Math.ceil(opening() / second)), two = n => num(Math.floor(n), {minimumIntegerDigits: 2});
  return left < 172800 ? [left / 3600, left / 60 % 60, left % 60].map(two).join(':') : unit(0, 0, 'day') && num(Math.floor(left / 86400), {style: 'unit', unit: 'day', unitDisplay: 'long'});
};

const put = (id, text) => {
  const it = $(id);
  it.hidden = !text;
  if (it.textContent != text) it.textContent = text || '';
};
// Which of the page's faces shows.
const face = () => {
  const state = place?.state;
  if (!status || !state) return 'load';
  if (/called|inside/.test(state)) return 'turn';
  if (state == 'none') return status.state == 'closed' ? 'closed' : 'load';
  if (state != 'waiting') return state;
  return {scheduled: 'soon', paused: 'pause', closed: 'closed'}[status.state] || (ahead() ? 'line' : 'next');
};
const render = () => {
  const is = face(), mine = place?.position, inLine = /line|next/.test(is), wait = inLine && estimate(ahead());
  doc.body.className = is;
  const heading = T['h_' + (is == 'reset' ? 'over' : is)];
  let text = T[(is == 'next' ? 'line' : is) + '_t'], big = '', number = mine && /line|next|pause|closed/.test(is);
  if (number) big = num(ahead());
  if (is == 'soon') big = countdown();
  if (/pause|closed/.test(is) && mine) text += ' ' + T.kept;
  if (is == 'turn') {
    text = stopped == 2 ? T.back : gone ? text : '';
    if (place.deadline) text += ' ' + T.until.replace('{}', clock(Date.parse(place.deadline) - (now() - Date.now()), {timeStyle: 'short'}));
  }
  put('head', heading);
  put('big', big);
  $('big').className = big.length > 6 ? 'long' : '';
  put('label', number ? T.ahead : is == 'soon' && clock(Date.parse(status.opens_at), {dateStyle: 'full', timeStyle: 'short'}));
  put('wait', wait && T.wait + ': ' + span(wait));
  put('text', text);
  put('act', is == 'turn' ? place.state == 'inside' && T.go : /lapsed|over|reset/.test(is) && T.again);
  put('note', fails > 1 ? T.trouble + (mine ? ' ' + T.kept : '')
    : inLine && (status.held_back ? T[status.held_back == 'shop_full' ? 'full' : 'ghosts'] : status.rate_per_minute < rate && T.slower));
  put('bare', (bare || !navigator.cookieEnabled) && mine && T.cookies);

  // How far the line has brought us, from where it stood when this tab first saw our number.
  const bar = $('bar'), from = +(keep('from' + epoch + '.' + mine) ?? (mine && seen && keep('from' + epoch + '.' + mine, head), head));
  const done = is == 'turn' ? 1 : mine > from ? (head - from) / (mine - from) : 0;
  bar.hidden = !mine || /lapsed|over|reset/.test(is);
  bar.style.setProperty('--p', done);
  bar.setAttribute('aria-valuenow', Math.round(done * 100));

  const facts = [];
  if (mine && !bar.hidden) facts.push([T.num, num(mine)], [T.head, num(head)]);
  if (seen) facts.push([T.upd, clock(seen)]);
  $('facts').replaceChildren(...facts.map(pair => {
    const group = doc.createElement('div');
    pair.forEach((text, i) => group.appendChild(doc.createElement(i ? 'dd' : 'dt')).textContent = text);
    return group;
  }));
  $('tools').hidden = bar.hidden;
  doc.title = (is == 'turn' ? '● ' + heading + ' · ' : number ? big + ' · ' : '') + title;

  // Said aloud: a new face, trouble and its end, and a wait that got shorter by a step. Nothing else.
  const step = wait ? [60, 120, 300, 600, 1200, 1800, 3600].findIndex(limit => wait.likely <= limit) : 0;
  const trouble = fails > 1, level = is + trouble;
  if (is != 'load' && (view.level != level || step < view.step && step >= 0)) {
    view.level = level;
    view.step = step < 0 ? 9 : step;
    $('live').textContent = heading + '. ' + (trouble ? $('note').textContent : number ? big + ' ' + T.ahead + '. ' + $('wait').textContent : text || '');
  }
};

const tabs = self.BroadcastChannel && new BroadcastChannel(name);
if (tabs) tabs.onmessage = () => {
  place = undefined;
  tick();
};
const ring = at => audio && [523, 659, 784].forEach((pitch, i) => {
  const tone = audio.createOscillator(), gain = audio.createGain(), start = audio.currentTime + i / 5;
  tone.frequency.value = pitch;
  gain.gain.setValueAtTime(.3, start);
  gain.gain.exponentialRampToValueAtTime(.001, start + 1);
  tone.connect(gain).connect(audio.destination);
  tone.start(start);
  tone.stop(start + 1);
});
const act = async work => {
  try {
    await work();
    fails = 0;
  } catch {
    fails = 2;
  }
  render();
};
const begin = () => {
  doc.documentElement.lang = locale;
  doc.documentElement.dir = lang == 'ar' ? 'rtl' : 'ltr';
  $('plain').remove();
  $('main').hidden = false;
  for (const id of ['snd', 'leave', 'stay']) put(id, T[id]);
  put('yes', T.leave);
  put('ask', T.sure);
  put('title', title);
  put('msg', own(data.message));
  ticket = keep('ticket');
  if (Date.now() - keep('went') < 30 * second) stopped = 2;
  $('act').onclick = () => act(async () => {
    if (place.state != 'inside') {
      rang = url = stopped = undefined;
      await rejoin();
      return tick();
    }
    await claim();
    go(1);
  });
  $('snd').onclick = () => {
    if (audio) audio.close(), audio = 0;
    else {
      audio = new AudioContext();
      ring();
    }
    $('snd').setAttribute('aria-pressed', !!audio);
  };
  $('leave').onclick = () => $('sure').showModal();
  $('sure').onclose = () => $('sure').returnValue && act(async () => {
    await ask('leave', {});
    place = {state: 'over'};
    tabs?.postMessage(0);
  });
  doc.addEventListener('visibilitychange', () => doc.hidden || tick());
  addEventListener('online', tick);
  addEventListener('pageshow', event => {
    if (event.persisted) {
      gone = false;
      stopped = 2;
      tick();
    }
  });
  setInterval(() => {
    if (face() != 'soon' || doc.hidden) return;
    put('big', countdown());
    if (opening() < 0 && !busy && !again) timer = timer && (clearTimeout(timer), setTimeout(tick, 2 * second * random())), again = 0;
  }, second);
  // A browser freezes no tab that holds a lock.
  navigator.locks?.request(name + '-awake', {mode: 'shared'}, () => new Promise(() => { }));
  render();
  tick();
};
if (doc.prerendering) doc.addEventListener('prerenderingchange', begin, {once: true});
else begin();
}
