/** Scenarios, as rooms above the machine see them. */
export type { LoadedScenario, ScenarioSource } from '#scenario/program';
export type { Scenario, ScenarioDefinition } from '#scenario/definition';
