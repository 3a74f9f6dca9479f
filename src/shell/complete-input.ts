/** Whether a person has typed a whole command, or goes on in the next line. */
import { justBash } from './just-bash.ts';

/** A backslash, or an operator that wants something after it. */
const OPEN_END = /(?:\\|&&|\|\|?)\s*$/;

/** True if the text is the beginning of something. A text that is wrong is whole: whoever runs it says what is wrong. */
export function isUnfinished(text: string): boolean {
  if (/\\\n?$/.test(text)) return true;
  try {
    const script = JSON.stringify(justBash().parse(text));
    return script.includes('"terminated":false') || OPEN_END.test(text.replace(/#.*$/, ''));
  } catch (error) {
    if (!(error instanceof Error)) return false;
    const { token } = error as { token?: { type?: string } };
    return token?.type === 'EOF' || error.message.includes('unexpected EOF while looking for');
  }
}
