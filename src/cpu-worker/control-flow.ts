/** How a CPU thread leaves kernel code that does not return. These never cross a room: cpu-worker throws and catches them. */

/** The host, or a panic, stops the machine: unwind to the bottom and wait. */
export class MachineStopped extends Error {
  constructor() {
    super('the machine was stopped');
    this.name = 'MachineStopped';
  }
}

/** An oops in process context: the task ends, what it held stays held. */
export class TaskDied extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'TaskDied';
  }
}

/** An INIT was taken while the CPU ran: unwind to where it waits for SIPI. */
export class ResetTaken extends Error {
  constructor() {
    super('the CPU was reset');
    this.name = 'ResetTaken';
  }
}
