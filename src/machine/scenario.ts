/** Scenarios, as rooms above the machine see them. */
export type { LoadedScenario, ScenarioSource } from '#scenario/program';
export { LitmusEnd, scenarioOfProgram } from '#scenario/litmus';
export type { LitmusPlace, LitmusScenario } from '#scenario/litmus';
export type { Scenario, ScenarioDefinition } from '#scenario/definition';
