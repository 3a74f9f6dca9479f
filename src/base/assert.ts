/** Thrown when the simulator itself is broken: nothing it prints after this can be trusted. */
export class InvariantError extends Error {
  readonly code = 'SMPLAB_INVARIANT';

  constructor(message: string) {
    super(message);
    this.name = 'InvariantError';
  }
}

/**
 * Always on. `message` starts with the name of the function, and is unique, so that it is an address.
 * @throws {InvariantError}
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}

/** What a failed `assert` does, where the message should not be made each time that all is well. */
export function broken(message: string): never {
  throw new InvariantError(message);
}

/** For the default of an exhaustive switch. */
export function unreachable(value: never, where: string): never {
  throw new InvariantError(`${where}: unexpected ${String(value)}`);
}
