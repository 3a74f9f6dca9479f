/** The page of `smplab stress --report html` in a real browser. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stressPage } from 'smplab';
import { TestBrowser, browserPath } from '../support/browser.ts';
import { sampleReport } from '../support/stress-sample.ts';

let browser: TestBrowser;

describe.skipIf(browserPath === undefined)('a stress run as a page', () => {
  beforeAll(async () => {
    browser = await TestBrowser.start();
  });
  afterAll(() => browser.close());

  it.each([
    { name: 'light', look: {} },
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
