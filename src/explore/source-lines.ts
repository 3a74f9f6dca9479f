/**
 * Stacks as a scenario's author reads them: with the lines of the files that were written, and not of the script that was
 * made of them.
 */
import path from 'node:path';
import { TraceMap, originalPositionFor } from '@jridgewell/trace-mapping';
import type { ScenarioSource } from '#machine/scenario';

const INLINE_MAP = /^\/\/# sourceMappingURL=data:application\/json[^,]*;base64,([\w+/=]+)\s*$/m;
/** What V8 puts between the frames of functions that can be suspended. */
const GENERATOR_FRAME = /^ *at (Generator|[\w$.]+\.\$)\.next \(<anonymous>\)\n?/gm;

export class SourceLines {
  readonly #source: ScenarioSource;
  readonly #place: RegExp;
  #map: TraceMap | undefined;

  constructor(source: ScenarioSource) {
    this.#source = source;
    this.#place = new RegExp(`${source.file.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&')}:(\\d+):(\\d+)`, 'g');
  }

  /** A stack of the script that runs, with the places its author knows. */
  readable(stack: string): string {
    const map = this.#loaded();
    if (map === undefined) return stack;
    return stack
      .replaceAll(GENERATOR_FRAME, '')
      .replaceAll(this.#place, (whole, line: string, column: string) => {
        const found = originalPositionFor(map, { line: Number(line), column: Number(column) - 1 });
        if (found.source === null) return whole;
        const file = path.join(path.dirname(this.#source.file), found.source);
        return `${file}:${found.line}:${found.column + 1}`;
      });
  }

  /** The map at the end of the script, read when a stack first has to be shown. */
  #loaded(): TraceMap | undefined {
    if (this.#map !== undefined) return this.#map;
    const encoded = INLINE_MAP.exec(this.#source.resumable ?? this.#source.code)?.[1];
    if (encoded === undefined) return undefined;
    this.#map = new TraceMap(Buffer.from(encoded, 'base64').toString());
    return this.#map;
  }
}
