/** A run has begun, and this thread has calls of an earlier one on its stack: unwind. Made once: it carries nothing. */
export class RunOver extends Error {
  constructor() {
    super('the run is over');
    this.name = 'RunOver';
  }
}
