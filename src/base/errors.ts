/** What the person using smplab can get wrong, or what the host can refuse. Stable: scripts match on these. */
export type SmplabErrorCode =
  | 'SMPLAB_BAD_CONFIG'
  | 'SMPLAB_BAD_USAGE'
  | 'SMPLAB_BAD_LITMUS'
  | 'SMPLAB_BAD_TOKEN'
  | 'SMPLAB_BAD_SCENARIO'
  | 'SMPLAB_UNKNOWN_SYMBOL'
  | 'SMPLAB_MACHINE_OFF'
  | 'SMPLAB_HOST_FAILED';

/** One line that says what is unusable, what was expected, and how to mend it. Printed without a stack. */
export class SmplabError extends Error {
  readonly code: SmplabErrorCode;

  constructor(code: SmplabErrorCode, message: string) {
    super(message);
    this.name = 'SmplabError';
    this.code = code;
  }
}
