// test.mjs URL PSQL OUT: uses the application as several people would, each in a browser of their own.
// OUT is the folder for screenshots.  Every wait is for something on a page.
import { execFile, execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { strict as assert } from 'node:assert';

const { chromium } = createRequire(new URL('../../test/client/', import.meta.url))('playwright-core');
const [url, psql, out] = process.argv.slice(2);
let n = 0;
const ok = (what) => console.log(`ok ${++n} - ${what}`);
const sql = (text) => execFileSync('bash', ['-c', `${psql} -XqAt -v ON_ERROR_STOP=1`], { input: text, encoding: 'utf8' }).trim();

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'],
});
const problems = [];

// A browser of its own: cookies and connections are shared with nobody.
async function person(name, viewport = { width: 1180, height: 780 }, more = {}) {
  const context = await browser.newContext({ viewport, locale: 'en-GB', ...more });
  context.setDefaultTimeout(20_000);
  // Desktop notifications cannot be seen in a headless browser: count them.
  await context.addInitScript(() => {
    window.shown = [];
    window.Notification = class { static permission = 'granted'; constructor(title, options) { window.shown.push(`${title}: ${options.body}`); } };
  });
  const page = await context.newPage();
  page.on('pageerror', (e) => problems.push(`${name}: ${e}`));
  await page.goto(`${url}login`);
  await page.fill('[name=name]', name);
  await page.fill('[name=password]', 'rooms');
  await page.press('[name=password]', 'Enter');
  await live(page);
  return page;
}
const state = (page, is) => page.waitForSelector(`.state[data-state="${is}"]`);
const live = (page) => state(page, 'online');
const sees = (page, text, where = '.tickets') => page.waitForSelector(`${where} >> text=${text}`);
const count = (page, is) => page.waitForFunction((want) => Number(document.querySelector('.bell .count')?.textContent ?? 0) === want, is);
const shot = (page, name) => page.screenshot({ path: `${out}/${name}.png`, animations: 'disabled' });
const text = (page) => page.inputValue('.editor textarea');
const holds = (page, part, ms) => page.waitForFunction((p) => document.querySelector('.editor textarea')?.value.includes(p), part, { timeout: ms });
const field = (page, label) => page.locator(`label:has-text("${label}") select`);

try {
  // ---- Signing in ----
  const stranger = await (await browser.newContext()).newPage();
  await stranger.goto(url);
  assert.match(stranger.url(), /\/login$/);
  await stranger.fill('[name=name]', 'ada');
  await stranger.fill('[name=password]', 'wrong');
  await stranger.press('[name=password]', 'Enter');
  await stranger.waitForSelector('text=Wrong name or password');
  assert.equal((await stranger.request.get(`${url}api/tickets`)).status(), 401);
  ok('without the password nobody gets in');
  await stranger.context().close();

  const ada = await person('ada'), phone = await person('ada', { width: 390, height: 780 }, { hasTouch: true, isMobile: true });
  const ben = await person('ben'), cleo = await person('cleo');
  for (const page of [ada, phone, ben, cleo]) await page.waitForSelector('.tickets li');
  ok('four browsers are connected: two of Ada, one of Ben, one of another tenant');

  // ---- Create ----
  await ben.click('text=New ticket');
  await ben.fill('dialog [name=title]', 'The coffee machine speaks Latin');
  await ben.fill('dialog textarea', 'Since the update it says "aqua" and nothing else.');
  await ben.selectOption('dialog [name=assignee]', 'ada');
  await ben.click('dialog button.primary');
  for (const page of [ada, phone, ben]) await sees(page, 'The coffee machine speaks Latin');
  ok('a ticket that an API route writes is on every screen of the tenant');
  for (const page of [ada, phone]) await count(page, 2);
  await ada.waitForFunction(() => window.shown.some((s) => s.startsWith('A ticket for you: #')));
  ok('its assignee is notified, on the page and on the desktop');
  await ada.focus('.quick input');
  await ada.keyboard.type('Lights flicker');
  await ada.keyboard.press('Enter');
  for (const page of [ada, ben]) await sees(page, 'Lights flicker');
  assert.match(await ada.waitForSelector('.toast >> text=is there').then((t) => t.textContent()), /^#\d+ is there$/);
  ok('ticket:create by keyboard alone: acknowledged, and on the screens of others');
  await ada.fill('.quick input', '   ');
  await ada.press('.quick input', 'Enter');
  await sees(ada, 'A ticket needs a title', '.toast[data-kind="error"]');
  assert.equal(await ada.locator('.toast[data-kind="error"]').count(), 1);
  ok('what a handler refuses is shown, once');
  sql(`INSERT INTO ticket (tenant_id, title) VALUES (2, 'For Globex')`);
  await sees(cleo, 'For Globex');
  assert.equal(await cleo.locator('.tickets li').count(), 2);
  ok('the other tenant has seen its own ticket and no other');
  await shot(ada, 'tickets');

  // ---- Notifications ----
  await phone.click('.bell > button');
  await shot(phone, 'phone-notifications');
  assert.ok(await phone.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  await phone.click('.panel .dot >> nth=0');
  for (const page of [phone, ada]) await count(page, 1);
  ok('read on one device is read on the other');
  await ada.focus('.bell > button');
  await ada.keyboard.press('Enter');
  await ada.waitForSelector('.panel');
  await ada.click('text=Mark all as read');
  for (const page of [phone, ada]) await count(page, 0);
  await ada.keyboard.press('Escape');
  await ada.waitForSelector('.panel', { state: 'detached' });
  assert.equal(sql(`SELECT count(*) FROM notification WHERE user_id = 'ada' AND NOT read`), '0');
  ok('all of them, too, by plain SQL of an API route');

  // ---- Ticket page ----
  await ben.click('text=The coffee machine speaks Latin');
  await ada.click('text=The coffee machine speaks Latin');
  for (const page of [ada, ben]) await page.waitForSelector('.reply textarea');
  await ben.locator('.reply textarea').pressSequentially('It is Italian');
  await sees(ada, 'Ben Okafor is typing', '.typing');
  await ben.click('.reply button');
  await sees(ada, 'It is Italian', '.comments');
  await ada.waitForFunction(() => document.querySelector('.typing').textContent === '');
  ok('typing and comments reach who looks at the ticket');
  await field(ada, 'Status').selectOption('doing');
  await ben.waitForFunction(() => document.querySelector('aside select').value === 'doing');
  await field(ada, 'Assignee').selectOption('ben');
  await sees(ben, 'A ticket for you', '.toast');
  await shot(ada, 'ticket');
  ok('status and assignee change under the eyes of the others');
  const id = Number(/\d+$/.exec(ada.url())[0]);
  await cleo.goto(`${url}tickets/${id}`);
  await cleo.waitForSelector('text=There is no such ticket');
  ok('another tenant finds no such ticket');
  sql(`UPDATE ticket SET tenant_id = 2, assignee = NULL WHERE id = ${id}`);
  for (const page of [ada, ben]) await page.waitForSelector('text=This ticket is not here any more');
  ok('a ticket that moves to another tenant is gone at once');

  // ---- Offline and back ----
  await ada.click('text=All tickets');
  await sees(ada, 'Lights flicker');
  await ada.context().setOffline(true);
  await state(ada, 'offline');
  await ada.click('.bell > button');
  await ada.waitForSelector('.panel >> text=You are offline');
  await ada.keyboard.press('Escape');
  await shot(ada, 'offline');
  for (let i = 1; i <= 20; i++) sql(`INSERT INTO ticket (tenant_id, title, assignee) VALUES (1, 'Missed ${i}.', ${i === 20 ? `'ada'` : 'NULL'})`);
  let fetched = 0;
  ada.on('request', (r) => { if (/\/api\/(tickets|notifications)/.test(r.url())) fetched++; });
  await ada.context().setOffline(false);
  await live(ada);
  await sees(ada, 'Back online, nothing was missed', '.toast');
  for (let i = 1; i <= 20; i++) await sees(ada, `Missed ${i}.`);
  await count(ada, 1);
  assert.equal(fetched, 0);
  ok('offline and back: what was committed meanwhile arrives, and nothing is fetched');

  // ---- Documents ----
  for (const page of [ada, ben]) { await page.goto(`${url}documents/1`); await page.waitForSelector('.editor textarea'); }
  await ben.focus('.editor textarea');
  await ben.keyboard.press('Control+Home');
  await ben.keyboard.press('End');
  await ada.waitForSelector('.mirror [data-cursor="ben"]');
  ok('cursors are shared');
  await ben.keyboard.type(' of June');
  await holds(ada, 'Release notes of June', 3000);
  const at = await ada.evaluate(() => { const r = document.createRange(); const m = document.querySelector('.mirror');
    r.setStart(m, 0); r.setEndBefore(m.querySelector('.cursor i')); return r.toString(); });
  assert.equal(at, 'Release notes of June');
  ok('... and stand where the other writes');
  const began = Date.now();
  await ada.focus('.editor textarea');
  await ada.keyboard.press('Control+End');
  await Promise.all([ada.keyboard.type('Written by Ada.'), ben.keyboard.type(', the last')]);
  for (const page of [ada, ben]) { await holds(page, 'Written by Ada.'); await holds(page, 'of June, the last'); }
  await ada.waitForSelector('[data-save="saved"]');
  await ben.waitForSelector('[data-save="saved"]');
  assert.equal(await text(ada), await text(ben));
  assert.equal(sql('SELECT body FROM document WHERE id = 1'), (await text(ada)).trim());
  ok(`two people write at the same time and both see the same text (${Date.now() - began} ms)`);
  await shot(ada, 'document');

  // The same version edited twice: psql is first, so that the handler of Ben's edit waits, and refuses it.
  const first = new Promise((done, fail) => execFile('bash', ['-c', `${psql} -XqAt -v ON_ERROR_STOP=1 -c "DO \\$\\$ BEGIN
    UPDATE document SET body = 'By psql. ' || body WHERE id = 1;
    WHILE NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted) LOOP PERFORM pg_sleep(0.02); END LOOP; END \\$\\$"`], { timeout: 20_000 }, (e) => (e ? fail(e) : done())));
  sql(`DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_locks WHERE relation = 'document'::regclass AND mode = 'RowExclusiveLock')
    LOOP COMMIT; PERFORM pg_sleep(0.02); END LOOP; END $$`);
  await ben.keyboard.press('Control+End');
  await ben.keyboard.type('And by Ben.');
  await first;
  await sees(ben, 'both texts are merged', '.toast');
  for (const page of [ada, ben]) { await holds(page, 'By psql. Release notes'); await holds(page, 'And by Ben.'); }
  ok('an edit of an old version is refused and not lost: it is merged and saved');

  await ben.context().setOffline(true);
  await state(ben, 'offline');
  await ben.keyboard.press('Control+End');
  await ben.keyboard.type('Written by Ben on a train.');
  await ben.waitForSelector('text=Kept here until you are online');
  await ada.keyboard.press('Control+Home');
  await ada.keyboard.type('DRAFT ');
  await ada.waitForSelector('[data-save="saved"]');
  await ben.context().setOffline(false);
  await live(ben);
  for (const page of [ada, ben]) { await holds(page, 'Written by Ben on a train.'); await holds(page, 'DRAFT By psql. Release'); }
  await ben.waitForSelector('[data-save="saved"]');
  assert.equal(await text(ada), await text(ben));
  ok('what was written offline is not lost, nor what others wrote meanwhile');
  await ada.click('nav >> text=Tickets');
  await ben.waitForSelector('.mirror [data-cursor="ada"]', { state: 'detached' });
  ok('who leaves takes the cursor along');
  // A tab that is closed says nothing: on_disconnect does.  Long before a silent cursor is forgotten.
  const tab = await phone.context().newPage();
  await tab.goto(`${url}documents/1`);
  await tab.focus('.editor textarea');
  await ben.waitForSelector('.mirror [data-cursor="ada"]');
  await tab.close();
  await ben.waitForSelector('.mirror [data-cursor="ada"]', { state: 'detached' });
  ok('... and so does who vanishes');

  // ---- Dashboard ----
  await ada.goto(`${url}dashboard`);
  await ada.waitForSelector('.chart svg');
  const heard = () => ada.textContent('[data-testid="heard"]').then(Number);
  // One every 50 ms for 3 s, each its own transaction; nobody else writes any.
  const start = Date.now(), before = await heard();
  sql(`DO $$ BEGIN FOR i IN 1 .. 60 LOOP INSERT INTO metric (tenant_id, requests, latency_ms) VALUES (1, 100 + i, 40); COMMIT; PERFORM pg_sleep(0.05); END LOOP; END $$;
    INSERT INTO metric (tenant_id, requests, latency_ms) VALUES (1, 199, 40)`);
  await ada.waitForFunction(() => document.querySelector('.chart b').textContent.startsWith('199'));
  const seconds = (Date.now() - start) / 1000, updates = (await heard()) - before;
  assert.ok(updates >= 2 && updates <= Math.ceil(seconds) + 1, `${updates} updates in ${seconds} s`);
  ok(`of 61 samples the dashboard hears ${updates} in ${seconds.toFixed(1)} s, and the last one`);
  await ben.click('nav >> text=Tickets');
  await ben.click('text=Lights flicker');
  await field(ben, 'Status').selectOption('done');
  await sees(ada, 'Ben Okafor solved', '.news');
  ok('tenant:event tells what happened');
  await ada.click('text=Write 200 samples');
  await ada.waitForFunction((was) => Number(document.querySelector('[data-testid="heard"]').textContent) > was, before + updates);
  await shot(ada, 'dashboard');
  await phone.goto(`${url}dashboard`);
  await phone.waitForSelector('.chart svg');
  assert.ok(await phone.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  await shot(phone, 'phone-dashboard');
  ok('and it fits a phone');

  // ---- Limits and rights that are taken away ----
  const more = [];
  for (let i = 0; i < 3; i++) { const page = await phone.context().newPage(); await page.goto(url); await live(page); more.push(page); }
  const sixth = await phone.context().newPage();
  await sixth.goto(url);
  await state(sixth, 'refused');
  await sees(sixth, 'Too many connections', '.banner');
  await more[0].close();
  sql(`DO $$ BEGIN WHILE (SELECT value FROM rooms.stats WHERE name = 'connections') > 6 LOOP COMMIT; PERFORM pg_sleep(0.02); END LOOP; END $$`);
  await sixth.click('text=Try again');
  await live(sixth);
  ok('the sixth connection of a user is refused, until one of the others ends');

  sql(`UPDATE app_user SET blocked = true WHERE id = 'ada'`);
  await state(ada, 'refused');
  await sees(ada, 'The server has ended this connection', '.banner');
  await ada.click('text=Try again');
  await sees(ada, 'Your account is blocked', '.banner');
  assert.equal((await ada.request.get(`${url}api/tickets`)).status(), 403);
  await shot(ada, 'blocked');
  await live(ben);
  ok('who is blocked is out at once and stays out; others stay');

  assert.deepEqual(problems, []);
  ok('no script error on any page');
} catch (error) {
  console.log(`not ok ${++n} - ${error.stack}`);
  let i = 0;
  for (const context of browser.contexts()) for (const page of context.pages()) await page.screenshot({ path: `${out}/failed-${i++}.png` }).catch(() => {});
  process.exitCode = 1;
} finally {
  await browser.close();
}
