/** What a user may choose from: the door for rooms that may not enter memory and scheduler. */
export { QUIRKS } from '#memory/firmware';
export type { CpuOverrides, QuirkName, Vendor } from '#memory/firmware';
export { policyByNumber, policyNames, policyNames as strategyNames, policyNumber } from '#scheduler/policies';
