/** The pages in a real browser, one for all of them: what a reader does with them. */
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileScenario, galleryScenario, replayToken, runCampaign, runPage, stressPage } from 'smplab';
import { TestBrowser, browserPath } from '../support/browser.ts';
import { sampleReport } from '../support/stress-sample.ts';

const PROGRAMS = path.join(import.meta.dirname, '../programs');
const GALLERY = 'hotplug-ipi-before-online-callback';
const SEED = 1;
const RUNS = 2_000;

async function pageOf(file: string): Promise<string> {
  const source = await compileScenario(file, 'fibers');
  const { failures } = await runCampaign(source, {
    name: path.basename(file),
    strategy: 'portfolio',
    seed: SEED,
    runs: RUNS,
  });
  const report = await replayToken(failures[0]!.token, source);
  return runPage({ ...report, command: `smplab replay ${failures[0]!.token}` });
}

let browser: TestBrowser;
let program = '';
let kernel = '';

beforeAll(async () => {
  if (browserPath !== undefined) browser = await TestBrowser.start();
});
afterAll(() => browser?.close());

describe.skipIf(browserPath === undefined)('a finding as a page', () => {
  beforeAll(async () => {
    [program, kernel] = await Promise.all([
      pageOf(path.join(PROGRAMS, 'double_enable.ts')),
      pageOf(galleryScenario(GALLERY)!),
    ]);
  });

  it('shows the interleaving, what decides, the report and the command, and asks nobody for anything', async () => {
    const { page, complaints } = await browser.open(program);
    // Which of the two comes to it is the shrinker's affair.
    const title = await page.locator('h1').textContent();
    expect(title).toMatch(/^CPU [12] was enabled 2 times$/);
    expect(await page.locator('.columns .head').allTextContents()).toEqual(['CPU 0', 'CPU 1', 'CPU 2']);
    expect(await page.locator('.legend li').count()).toBeGreaterThan(1);
    expect(await page.locator('.pairs g').count()).toBe(await page.locator('.legend li').count());
    expect(await page.locator('.command code').textContent()).toMatch(/^smplab replay smp1:/);
    expect(await page.locator('.columns .end').textContent()).toBe(title);
    expect(complaints).toEqual([]);
  });

  it('is walked through with the keyboard alone', async () => {
    const { page, complaints } = await browser.open(program);
    const details = page.locator('.details > header');
    const position = page.locator('#position');
    await page.keyboard.press('Home');
    expect(await details.textContent()).toMatch(/(?:init|hotplug\d)\(\)/);
    await page.keyboard.press('j');
    // A store that decides, and then the load on another CPU that it decides with.
    const stored = /(registered|online\[\d\]) = 1 \(was 0\)/.exec((await details.textContent())!)![1]!;
    await page.keyboard.press('.');
    const read = (await details.textContent())!;
    expect(read).toContain(`reads ${stored}: 1`);
    await page.keyboard.press('ArrowUp');
    expect(await details.textContent()).not.toBe(read);
    await page.keyboard.press('End');
    expect(await page.locator('.step[aria-selected="true"]').count()).toBe(1);
    const before = await position.textContent();
    await page.keyboard.press('[');
    const after = await position.textContent();
    expect(Number.parseInt(after!, 10)).toBeLessThan(Number.parseInt(before!, 10));
    await page.keyboard.press('l');
    expect(Number.parseInt((await position.textContent())!, 10)).toBe(Number.parseInt(after!, 10) + 1);
    await page.keyboard.press('2');
    await page.keyboard.press('/');
    await page.keyboard.type('enabled1');
    await page.keyboard.press('Escape');
    expect(await page.locator('.events .count').textContent()).toMatch(/^\d of \d+$/);
    await page.keyboard.press('?');
    expect(await page.locator('dialog').isVisible()).toBe(true);
    await page.keyboard.press('?');
    expect(await page.locator('dialog').isVisible()).toBe(false);
    expect(complaints).toEqual([]);
  });

  it('says of a step its variable, access, values, callers and the state of every CPU', async () => {
    const { page, complaints } = await browser.open(kernel);
    await page.locator('.legend button').first().click();
    const details = page.locator('.details');
    expect(await details.locator('dd').allTextContents()).toEqual(
      expect.arrayContaining(['kvm_usage_count', 'plain store', '0 → 1']),
    );
    expect(await details.locator('.stack li').first().textContent()).toBe('kvm_create_vm');
    const heads = await details.locator('thead th').allTextContents();
    expect(heads).toEqual(expect.arrayContaining(['online', 'irqs off', 'locks']));
    const cpu0 = await details.locator('tbody tr').first().locator('td').allTextContents();
    expect(cpu0.at(-1)).toContain('kvm_lock');
    expect(await details.locator('.history li').count()).toBeGreaterThan(2);
    expect(complaints).toEqual([]);
  });

  it('draws lanes in which a click selects', async () => {
    const { page, complaints } = await browser.open(kernel);
    await page.keyboard.press('0');
    const canvas = page.locator('.lanes-scroller canvas');
    const box = (await canvas.boundingBox())!;
    await page.mouse.click(box.x + 90, box.y + 30);
    expect(await page.locator('.details > header').textContent()).toMatch(/^CPU 0/);
    const colours = await canvas.evaluate((element) => {
      const context = (element as HTMLCanvasElement).getContext('2d')!;
      const { data } = context.getImageData(0, 0, (element as HTMLCanvasElement).width, 300);
      const seen = new Set<number>();
      for (let at = 0; at < data.length; at += 4)
        seen.add((data[at]! << 16) | (data[at + 1]! << 8) | data[at + 2]!);
      return seen.size;
    });
    expect(colours).toBeGreaterThan(20);
    expect(complaints).toEqual([]);
  });

  it.each([
    { name: 'light', look: { dark: false } },
    { name: 'dark', look: { dark: true } },
    { name: 'phone', look: { width: 390, height: 844, touch: true } },
  ])('is readable: $name', async ({ look }) => {
    const { page, complaints } = await browser.open(kernel, look);
    const { least, overflows } = await page.evaluate(() => {
      const channel = (value: number): number =>
        value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
      const luminance = (colour: string): number => {
        const [r = 0, g = 0, b = 0] = (colour.match(/[\d.]+/g) ?? []).map((part) =>
          channel(Number(part) / 255),
        );
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const back = luminance(getComputedStyle(document.body).backgroundColor);
      const contrasts = [...document.querySelectorAll('h1, .step .text, .details dd, dt, .head')].map(
        (element) => {
          const text = luminance(getComputedStyle(element).color);
          return (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05);
        },
      );
      return {
        least: Math.min(...contrasts),
        overflows: document.documentElement.scrollWidth > document.documentElement.clientWidth,
      };
    });
    expect(least).toBeGreaterThan(4.5);
    expect(overflows).toBe(false);
    expect(complaints).toEqual([]);
  });

  it('is the same bytes for the same token', async () => {
    expect(await pageOf(path.join(PROGRAMS, 'double_enable.ts'))).toBe(program);
  });
});

describe.skipIf(browserPath === undefined)('a stress run as a page', () => {
  it.each([
    { name: 'dark', look: { dark: true } },
    { name: 'phone', look: { width: 390, height: 844 } },
  ])('plots rate and latency over time, says what was found and shows the books: $name', async ({ look }) => {
    const { page, complaints } = await browser.open(stressPage(sampleReport()), look);
    expect(await page.locator('h1').textContent()).toBe('Stress: hotplug on 8 CPUs');
    expect(await page.locator('.kind').textContent()).toBe('1 finding, 1 known defect');
    expect(await page.locator('figcaption').allTextContents()).toEqual([
      'Operations per second',
      'Latency',
      'Latency by kind, p99',
      'CPUs online',
      'Host',
    ]);
    expect(await page.locator('.uplot canvas').count()).toBe(5);
    expect(await page.locator('.findings pre').first().textContent()).toContain('<which is gone>');
    expect(await page.locator('.table h2').allTextContents()).toEqual([
      'Operations',
      'Books',
      'CPUs',
      'Faults',
    ]);
    const isWide = await page.evaluate(
      () => document.documentElement.scrollWidth > document.documentElement.clientWidth,
    );
    expect(isWide).toBe(false);
    expect(complaints).toEqual([]);
  });

  it('reads out an interval with the keyboard, in all plots at once', async () => {
    const { page, complaints } = await browser.open(stressPage(sampleReport()));
    await page.keyboard.press('End');
    const values = page.locator('.u-legend .u-value');
    expect(await values.first().textContent()).toBe('600 s');
    await page.keyboard.press('ArrowLeft');
    expect(await values.first().textContent()).toBe('599 s');
    const times = await page.locator('.u-legend tr:first-child .u-value').allTextContents();
    expect(times).toEqual(times.map(() => '599 s'));
    expect(complaints).toEqual([]);
  });

  it('has something to say of a run that was over before it began', async () => {
    const { page, complaints } = await browser.open(
      stressPage(sampleReport({ intervals: [], findings: [], ended: 'interrupted' })),
    );
    expect(await page.locator('.kind').textContent()).toBe('interrupted: what was found so far');
    expect(await page.locator('main').textContent()).toContain('shorter than one interval');
    expect(complaints).toEqual([]);
  });

  it('is the same bytes for the same report, with the licence of what it has of others', () => {
    const page = stressPage(sampleReport());
    expect(stressPage(sampleReport())).toBe(page);
    expect(page).toContain('Permission is hereby granted, free of charge');
  });
});
