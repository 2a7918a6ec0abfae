// test.mjs URL PSQL-LINE SCREENSHOT: looks at the demo's page as a person would.
import { execFileSync, execSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { strict as assert } from 'node:assert';

const { chromium } = createRequire(new URL('../../test/client/', import.meta.url))('playwright-core');
const [url, psqlLine, screenshot] = process.argv.slice(2);
let n = 0;
const ok = (what) => console.log(`ok ${++n} - ${what}`);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'],
});
try {
  const page = await browser.newPage({ viewport: { width: 1100, height: 760 } });
  const problems = [];
  page.on('pageerror', (e) => problems.push(String(e)));
  await page.goto(url);

  const connected = (id) => page.waitForSelector(`#${id} .state[data-state="websocket"]`);
  const entries = (id) => page.$$eval(`#${id} .feed li`, (items) => items.map((i) => i.innerText));
  const arrived = (id, text) => page.waitForFunction(([who, what]) =>
    [...document.querySelectorAll(`#${who} .feed li`)].some((i) => i.innerText.includes(what)), [id, text]);

  for (const id of ['ada', 'ben', 'cleo']) await connected(id);
  ok('three people are connected over WebSocket');
  assert.equal(await page.textContent('#try'), psqlLine);
  ok('the page shows the line that the demo printed');

  execSync(psqlLine);
  await arrived('ada', 'Printer on fire');
  await arrived('ben', 'Printer on fire is yours now');
  ok('a committed row reaches both of its tenant, and its assignee in person');

  // psql's own arguments, with other SQL: a rolled-back row, then one for
  // everybody's eyes.  Order is commit order, so the second shows that the first never came.
  const sql = (text) => execFileSync('bash', ['-c', `${psqlLine.replace(/ -c ".*"$/, '')} -q`], { input: text });
  sql(`BEGIN; INSERT INTO ticket (title) VALUES ('Never committed'); ROLLBACK;
       INSERT INTO ticket (title) VALUES ('After the rollback');
       INSERT INTO ticket (title, tenant_id) VALUES ('For Globex', 2);`);
  for (const id of ['ada', 'ben']) await arrived(id, 'After the rollback');
  await arrived('cleo', 'For Globex');
  for (const id of ['ada', 'ben', 'cleo']) {
    assert.ok(!(await entries(id)).some((e) => e.includes('Never committed')));
  }
  ok('nothing arrives after ROLLBACK');
  assert.deepEqual((await entries('cleo')).length, 1);
  for (const id of ['ada', 'ben']) assert.ok(!(await entries(id)).some((e) => e.includes('For Globex')));
  ok('the other tenant sees its own row and no other');

  const gateway = Number(execFileSync('bash', ['-c', psqlLine.replace(/ -U app demo -c ".*"$/,
    ` -U postgres demo -Atc "SELECT pid FROM rooms.processes WHERE role = 'gateway'"`)], { encoding: 'utf8' }));
  process.kill(gateway, 'SIGKILL');
  for (const id of ['ada', 'ben', 'cleo']) await page.waitForSelector(`#${id} .state[data-state="offline"]`);
  for (const id of ['ada', 'ben', 'cleo']) await connected(id);
  sql(`INSERT INTO ticket (title) VALUES ('After the crash');`);
  for (const id of ['ada', 'ben']) await arrived(id, 'After the crash');
  ok('after the gateway was killed they are back and see the next event');

  await page.screenshot({ path: screenshot });
  await page.setViewportSize({ width: 390, height: 844 });
  await page.screenshot({ path: screenshot.replace('.png', '-phone.png'), fullPage: true });
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  ok('it fits a phone');
  assert.deepEqual(problems, []);
  ok('no script error on the page');
} catch (error) {
  console.log(`not ok ${++n} - ${error.stack}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
