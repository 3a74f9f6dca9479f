/** How just-bash ends a script whose signal was aborted. */
export const AbortError = Object.freeze({ STATUS: 124, MESSAGE: /bash: execution aborted\n?/ });
