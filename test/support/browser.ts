/**
 * A real browser for the pages: Debian's chromium, or Chrome where that is installed. Pages are opened as files, as a reader
 * opens them, and nothing may be asked of a network.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, type Page, chromium } from 'playwright-core';

const PLACES = [
  process.env['SMPLAB_CHROMIUM'] ?? '',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
];

/** Where the browser is; undefined if there is none. CI says by SMPLAB_NEEDS_BROWSER that there has to be one. */
export const browserPath: string | undefined = PLACES.find((file) => file !== '' && existsSync(file));
if (browserPath === undefined) {
  const why = 'no chromium here (apt-get install chromium, or SMPLAB_CHROMIUM=FILE): pages are not opened';
  if (process.env['SMPLAB_NEEDS_BROWSER'] !== undefined) throw new Error(why);
  console.warn(why);
}

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export interface Look {
  readonly width?: number;
  readonly height?: number;
  readonly dark?: boolean;
  readonly touch?: boolean;
}

/** A page that is open, and what it should not have done. */
export interface OpenPage {
  readonly page: Page;
  /** Errors, warnings and requests, in order: best none. */
  readonly complaints: readonly string[];
}

export class TestBrowser {
  readonly #browser: Browser;
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'smplab-pages-'));
  #pages = 0;

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  static async start(): Promise<TestBrowser> {
    return new TestBrowser(await chromium.launch({ executablePath: browserPath!, args: FLAGS }));
  }

  async open(
    html: string,
    { width = 1280, height = 800, dark = false, touch = false }: Look = {},
  ): Promise<OpenPage> {
    const file = path.join(this.#folder, `page${++this.#pages}.html`);
    writeFileSync(file, html);
    const context = await this.#browser.newContext({
      viewport: { width, height },
      colorScheme: dark ? 'dark' : 'light',
      hasTouch: touch,
    });
    const page = await context.newPage();
    const complaints: string[] = [];
    const own = pathToFileURL(file).href;
    page.on('console', (message) => complaints.push(`console ${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => complaints.push(`error: ${error.message}`));
    page.on('request', (request) => {
      if (request.url() !== own && !request.url().startsWith('data:'))
        complaints.push(`request: ${request.url()}`);
    });
    await page.goto(own);
    return { page, complaints };
  }

  async close(): Promise<void> {
    await this.#browser.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
