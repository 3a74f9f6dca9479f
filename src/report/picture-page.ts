/** The page of `--view html`. */
import { pictureAssets } from '#page/assets';
import type { Picture } from '#page/data';
import { htmlPage } from './html.ts';

/** @param text what a reader without scripts sees: the interleaving or the call tree as text */
export function picturePage(picture: Picture, text: readonly string[]): string {
  return htmlPage({
    title: `${picture.title} - smplab`,
    data: picture,
    assets: pictureAssets,
    text: [picture.title, '', ...text, '', ...picture.report].join('\n'),
  });
}
