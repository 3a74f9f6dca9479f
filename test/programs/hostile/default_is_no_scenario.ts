/** Forgot to call scenario(). */
export default { on: [(): void => {}], check: (): boolean => true };
