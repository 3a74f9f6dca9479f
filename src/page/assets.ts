/**
 * Script and style of each page, as text. This file says only what there is: the build, and vitest, put in its place what
 * scripts/pages.mjs makes of src/page.
 */
export interface PageAssets {
  readonly script: string;
  readonly style: string;
  /** For the page's Content-Security-Policy: base64 of the SHA-256 of each. */
  readonly scriptHash: string;
  readonly styleHash: string;
}

const NOT_BUILT: PageAssets = { script: '', style: '', scriptHash: '', styleHash: '' };

export const pictureAssets: PageAssets = NOT_BUILT;
export const stressAssets: PageAssets = NOT_BUILT;
