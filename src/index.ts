/** The one public door. */
export { Machine } from '#machine/machine';
export type { CallOptions, CallOutcome, HungCpu, PowerOnOptions, Snapshot } from '#machine/machine';
export type { Fault, MachineConfig } from '#machine/config';
export { closeSharedPool, createPool } from '#machine/pool';
export type { CpuPool } from '#machine/pool';
export { SmplabError } from '#base/errors';
export { symbolName, symbolTable } from '#memory/symbols';
