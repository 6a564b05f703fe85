// Tries pages as people use them: open, filter, follow an anchor, copy, on a phone, in the dark, printed, without script.
// Usage: node pages_test.js DIRECTORY_OF_PAGES DIRECTORY_OF_SCREENSHOTS
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { chromium } = require('playwright-core');

const [pages, outputs] = process.argv.slice(2);
const address = (name, anchor = '') => `file://${path.resolve(pages, name)}${anchor && '#' + anchor}`;

// A page of `context` that fails the test where anything is complained of, or loaded.
async function open(context, name, anchor = '') {
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (message) => complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('request', (request) => {
    if (!request.url().startsWith(address(name))) {
      complaints.push('loads ' + request.url());
    }
  });
  await page.goto(address(name, anchor));
  return { page, complaints };
}

const visible = (page) => page.evaluate(
    () => Array.from(document.querySelectorAll('[data-verdict]')).filter((item) => !item.hidden).map((item) => item.id));
const shot = (page, name) => page.screenshot({ path: path.join(outputs, name + '.png'), fullPage: true });

async function filters({ page, complaints }) {
  const all = await visible(page);
  assert.ok(all.length >= 8, 'outcomes: ' + all.length);
  await page.getByLabel('warn').uncheck();
  assert.ok(!(await visible(page)).includes('block-status.distinct-status'));
  await page.getByLabel('warn').check();
  await page.getByLabel('Area').selectOption('tls');
  assert.deepEqual((await visible(page)).sort(), ['tls.forced.export-name', 'tls.forced.go']);
  await page.getByRole('button', { name: 'Reset' }).click();
  await page.waitForFunction((count) => document.querySelectorAll('[data-verdict]:not([hidden])').length === count, all.length);
  await page.getByLabel('Level').selectOption('SHOULD');
  assert.deepEqual(await visible(page), ['block-status.distinct-status']);
  await page.getByRole('button', { name: 'Reset' }).click();
  await page.getByLabel('Harm').selectOption('interoperability');
  assert.deepEqual(await visible(page), ['block-status.req-one.single']);
  await page.getByRole('button', { name: 'Reset' }).click();
  await page.getByLabel('Text').fill('cookie EXACTLY');
  assert.deepEqual(await visible(page), ['transmission.cookie.echo']);
  assert.match(await page.locator('#shown').textContent(), /^1 of \d+ shown$/);
  await page.getByLabel('Text').fill('no such words');
  assert.deepEqual(await visible(page), []);
  assert.equal(await page.locator('section:visible').count(), 0);
  await page.getByLabel('Text').fill('');
  assert.deepEqual(complaints, []);
}

async function copies(context, { page, complaints }) {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const button = page.getByRole('button', { name: 'Copy' }).first();
  await button.click();
  await page.getByRole('button', { name: 'Copied' }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()),
               "nbdspec check nbdkit 'block-status.req-one.single' --seed 42");
  assert.deepEqual(complaints, []);
}

// An anchor leads to what is folded, and to what the filter hides.
async function followsAnchors(context) {
  const { page, complaints } = await open(context, 'report.html', 'handshake.magic');
  assert.ok(await page.locator('[id="handshake.magic"]').isVisible());
  await page.getByLabel('warn').uncheck();
  await page.evaluate(() => { location.hash = '#block-status.distinct-status'; });
  const target = page.locator('[id="block-status.distinct-status"]');
  await target.waitFor();
  assert.ok(await target.evaluate((details) => details.open));
  await page.evaluate(() => { location.hash = '#%zz'; });
  assert.deepEqual(complaints, []);
  await page.close();
}

async function fitsAPhone(page, name) {
  await page.setViewportSize({ width: 320, height: 700 });
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= window, `${name} is ${content} wide on a phone of ${window}`);
  await shot(page, name + '_phone');
  await page.setViewportSize({ width: 1200, height: 900 });
}

async function isAccessible(page, name) {
  await page.evaluate(fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'));
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    const { violations } = await page.evaluate(() => axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'best-practice'] }));
    const found = violations.map((each) => `${each.id}: ${each.nodes.slice(0, 3).map((node) => node.html.slice(0, 200))}`);
    assert.deepEqual(found, [], `${name}, ${colorScheme}`);
    await shot(page, `${name}_${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: null });
}

async function triesTheMatrix(context) {
  const { page, complaints } = await open(context, 'matrix.html');
  const measure = () => page.evaluate(() => Number(document.documentElement.dataset.filterMs));
  const times = { open: await page.evaluate(() => Number(document.documentElement.dataset.openMs)) };
  await page.getByLabel('Text').fill('clause 7');
  times.text = await measure();
  await page.getByLabel('only where servers differ').check();
  times.differs = await measure();
  const rows = await page.locator('tbody tr:visible').allTextContents();
  assert.ok(rows.length > 0 && rows.length < 400 && rows.every((row) => row.includes('7')), rows.length + ' rows');
  await page.getByRole('button', { name: 'Reset' }).click();
  await page.getByLabel('Area').selectOption('option');
  times.area = await measure();
  console.log('ms of script, 16 servers by 400 checks:', times);  // For people: machines differ.
  await page.screenshot({ path: path.join(outputs, 'matrix.png') });
  await page.locator('td.fail a').first().click();
  assert.ok(await page.evaluate(() => document.getElementById(decodeURIComponent(location.hash.slice(1))).open));
  assert.deepEqual(complaints, []);
  await page.close();
}

// What a server says stands there as escapes, and moves nothing.
async function controlsNothing(context, name) {
  const { page, complaints } = await open(context, name);
  const text = await page.evaluate(() => document.documentElement.textContent);
  const controls = text.match(/.{0,40}[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069].{0,40}/);
  assert.equal(controls, null, name);
  assert.deepEqual(complaints, []);
  await page.close();
  return text;
}

async function worksWithoutScript(browser) {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(address('report.html'));
  assert.equal(await page.locator('form:visible').count(), 0);
  await page.getByText('Not applicable').click();
  assert.ok(await page.getByText('Before TLS GO gets TLS_REQD').isVisible());
  await context.close();
}

async function prints(context) {
  const { page } = await open(context, 'report.html');
  await page.pdf({ path: path.join(outputs, 'report.pdf') });
  await page.emulateMedia({ media: 'print' });
  assert.equal(await page.locator('form:visible, button:visible').count(), 0);
  await page.close();
}

(async () => {
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
           '--disable-component-update', '--disable-sync'],
  });
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 } });
  const report = await open(context, 'report.html');
  await filters(report);
  await copies(context, report);
  await fitsAPhone(report.page, 'report');
  await followsAnchors(context);
  await prints(context);
  await triesTheMatrix(context);
  await worksWithoutScript(browser);
  const hostile = await open(context, 'hostile.html');
  assert.deepEqual(hostile.complaints, []);
  await fitsAPhone(hostile.page, 'hostile');
  for (const name of ['report.html', 'hostile.html', 'compared.html', 'escapes_fuzzed.html']) {
    await controlsNothing(context, name);
  }
  assert.ok((await controlsNothing(context, 'escapes.html')).includes('\\x1b'));
  // The checker is a script of others, which the policy of the page keeps out.
  const checked = await browser.newContext({ viewport: { width: 1200, height: 900 }, bypassCSP: true });
  for (const name of ['report', 'hostile', 'passed', 'small_matrix']) {
    const { page } = await open(checked, name + '.html');
    await isAccessible(page, name);
    await page.close();
  }
  await browser.close();
  console.log('all is well');
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
