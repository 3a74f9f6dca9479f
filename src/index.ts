/** The one public door. */
// First: it decides every address.
import '#machine/link-order';
export { Machine } from '#machine/machine';
export type {
  CallOptions,
  CallOutcome,
  HungCpu,
  MachineCheck,
  PowerOnOptions,
  Snapshot,
} from '#machine/machine';
export type { Fault, MachineConfig, SiteFault } from '#machine/config';
export { FAULT_KINDS, FAULT_SITES } from '#machine/faults';
export { runStress } from '#stress/run';
export type { StressConfig, StressProgress } from '#stress/config';
export { type Bark, WATCHDOG_SECONDS, Watchdog, type WatchdogSeconds } from '#machine/watchdog';
export { closeSharedPool, createPool } from '#machine/pool';
export type { CpuPool } from '#machine/pool';
export { SmplabError } from '#base/errors';
export { symbolizeData } from '#memory/image';
export { symbolName, symbolTable } from '#memory/symbols';
export { kvmState } from '#machine/kvm-state';
export type { KvmCpuState, PerCpuPointer } from '#machine/kvm-state';
export { inventoryDifference, isInventoryEmpty, kernelInventory } from '#machine/inventory';
export type { KernelInventory, LiveAllocation } from '#machine/inventory';
export { dmesg } from '#kernel/dmesg';
export type { LogRecord } from '#kernel/dmesg';
export { ContextFlag, EventType, Instruction, Milestone, Outcome } from '#trace/events';
export type { TraceEvent } from '#trace/events';
export { TRACE_FORMAT, decodeTrace, encodeTrace } from '#trace/format';
export type { Trace } from '#trace/format';
export { compileScenario } from '#explore/compile';
export { type Chance, chanceOf } from '#explore/chance';
export { type ParallelOptions, type ParallelRun, ParallelScenario } from '#machine/parallel-scenario';
export { galleryEntries, galleryEntry, galleryScenario, scheduleLimit } from '#explore/gallery';
export { KNOWN_RACES, isKnownRace } from '#explore/gallery-races';
export { type Verified, type VerifyOptions, verifyEntry } from '#explore/gallery-verify';
export type { GalleryEntry } from '#explore/gallery';
export { ScenarioExecutor } from '#machine/scenario-executor';
export { MachineShelf } from '#machine/shelf';
export { policyByNumber, policyNames, policyNumber } from '#machine/choices';
export * from '#scenario/api';
export { runCampaign } from '#explore/campaign';
export type { CampaignOptions, CampaignReport, FailureFound } from '#explore/campaign';
export { replayToken } from '#explore/replay-token';
export type { ReplayReport } from '#explore/replay-token';
export { compareExecutors } from '#explore/both-executors';
export type { Comparison, ComparisonOptions, Difference } from '#explore/both-executors';
export { canCheckRecorded, checkRecorded } from '#explore/recorded';
export type { RecordedOptions, RecordedReport, Unexplained } from '#explore/recorded';
export { failuresText, replayText } from '#explore/failure-text';
export { stressPage } from '#report/stress-page';
export { runPage } from '#explore/run-page';
export type { PageRun } from '#explore/run-page';
export { runLitmus } from '#explore/litmus';
export type { LitmusResult } from '#explore/litmus';
export { parseLitmus } from '#litmus/parse';
export type { LitmusProgram } from '#litmus/program';
export { litmusJson, litmusLog } from '#litmus/log';
export { Laboratory } from '#explore/laboratory';
export { pinToOneCore } from '#explore/pin';
export { runSearch } from '#explore/search';
export type { Search, Statement } from '#explore/search';
export { STRATEGIES, isExhaustive, runsAtMost, searchFor } from '#explore/strategies';
export type { StrategyName, StrategyOptions } from '#explore/strategies';
export type {
  StressBook,
  StressCpu,
  StressFinding,
  StressInterval,
  StressKind,
  StressLatency,
  StressOptions,
  StressReport,
} from '#report/stress-report';
