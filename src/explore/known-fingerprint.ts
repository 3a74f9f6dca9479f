/**
 * The fingerprint (fingerprint.ts) of a run that was made from what its flows were seen to do. Records from one place are the
 * same but for what they read and who could have gone instead: what the record adds by itself, whose it is, and where in a
 * dense table its word stands are looked up once for each place.
 */
import { NR_CPUS } from '#base/limits';
import {
  Footprint,
  type KnownPlaces,
  OP_WORDS,
  OpFlag,
  OpType,
  OpWord,
  type OperationLog,
  footprint,
  opFlags,
  opType,
} from '#trace/operations';
import { FIRST_A, FIRST_B, flowOfHead, joined, lastA, lastB, mix, shareA, shareB, stir } from './digests.ts';

/** Of a place: the record by itself; its slot, shifted, with what it does there; its flow + 1, or one of the next two. */
const A = 0;
const B = 1;
const TOUCH = 2;
const FLOW = 3;
/** A record that is no operation; and one that takes more than is looked up here. */
const FACT = -1;
const ODD = -2;

const SLOTS_AT_FIRST = 32;
/** Words of a slot: run, history, who wrote it last, + 1; and which word of memory it is. */
const RUN = 0;
const HISTORY = 1;
const WRITER = 3;
const WORD = 4;
const SLOT = 8;

export class KnownFingerprints {
  readonly known: KnownPlaces;
  /** By flow: the run, and the two halves of its history. */
  readonly #flows = new Int32Array(NR_CPUS * 2 * 4);
  readonly #used = new Int32Array(NR_CPUS * 2);
  #slots = new Int32Array(SLOTS_AT_FIRST * SLOT);
  #run = 0;

  #notes = new Int32Array(0);
  readonly #slotOf = new Map<number, number>();

  /** @param known of the logs that it is asked about */
  constructor(known: KnownPlaces) {
    this.known = known;
    // A field that is set once is a constant for V8, and what is compiled so is thrown away when it is not.
    this.#growSlots();
  }

  /** Undefined: it has to be read from the log. */
  of(log: OperationLog): number | undefined {
    const { places } = this.known;
    const { records } = log;
    if (log.isSettled !== true || records > places.length) return undefined;
    this.#begin();
    const notes = this.#notes;
    const flows = this.#flows;
    const used = this.#used;
    const run = this.#run;
    let slots = this.#slots;
    let usedCount = 0;
    let hasFacts = false;
    for (let record = 0; record < records; record++) {
      const place = places[record]!;
      let flow = notes[place + FLOW]!;
      if (flow <= 0) {
        if (flow === 0) {
          flow = this.#note(place, log.words, record * OP_WORDS);
          slots = this.#slots;
        }
        if (flow === ODD) return undefined;
        if (flow === FACT) {
          hasFacts = true;
          continue;
        }
      }
      const own = (flow - 1) * 4;
      if (flows[own] !== run) {
        flows[own] = run;
        flows[own + 1] = FIRST_A;
        flows[own + 2] = FIRST_B;
        used[usedCount++] = own;
      }
      let a = mix(flows[own + 1]!, notes[place + A]!);
      let b = stir(flows[own + 2]!, notes[place + B]!);
      const touch = notes[place + TOUCH]!;
      if (touch !== 0) {
        const slot = (touch >>> 2) * SLOT;
        if (slots[slot] === run) {
          const writer = slots[slot + WRITER]!;
          if (writer !== 0 && writer !== flow) {
            a = mix(a, slots[slot + HISTORY]!);
            b = stir(b, slots[slot + HISTORY + 1]!);
          }
        }
        if ((touch & Footprint.WRITES) !== 0) {
          const word = slots[slot + WORD]!;
          slots[slot + RUN] = run;
          slots[slot + HISTORY] = mix(a, word);
          slots[slot + HISTORY + 1] = stir(b, word);
          slots[slot + WRITER] = flow;
        }
      }
      flows[own + 1] = a;
      flows[own + 2] = b;
    }
    log.hasFacts = hasFacts;
    let a = 0;
    let b = 0;
    for (let index = 0; index < usedCount; index++) {
      const own = used[index]!;
      a = (a + lastA(flows[own + 1]!, own >>> 2)) | 0;
      b = (b + lastB(flows[own + 2]!, own >>> 2)) | 0;
    }
    return joined(a, b);
  }

  #begin(): void {
    // Once in four billion runs old ones would look like new ones.
    this.#run = (this.#run + 1) | 0 || 1;
    if (this.#run === 1) {
      this.#flows.fill(0);
      for (let slot = 0; slot < this.#slots.length; slot += SLOT) this.#slots[slot + RUN] = 0;
    }
    if (this.#notes.length < this.known.end) {
      const notes = new Int32Array(this.known.end * 2);
      notes.set(this.#notes);
      this.#notes = notes;
    }
  }

  /** What records from a place have in common, from one of them. Answers what stands at FLOW. */
  #note(place: number, words: Int32Array, at: number): number {
    const notes = this.#notes;
    const head = words[at]!;
    const type = opType(head);
    if (type >= OpType.EVENT) return (notes[place + FLOW] = FACT);
    const address = words[at + OpWord.ADDRESS]!;
    const size = words[at + OpWord.SIZE]!;
    const written = words[at + OpWord.WRITTEN]!;
    let does = footprint(type);
    if ((opFlags(head) & (OpFlag.FAULTED | OpFlag.FORWARDED)) !== 0) does = Footprint.NONE;
    if (does !== Footprint.NONE) {
      if (size > 4 || (address & 3) + size > 4) return (notes[place + FLOW] = ODD);
      const word = address >>> 2;
      notes[place + TOUCH] = (this.#slot(word) << 2) | does;
    }
    notes[place + A] = shareA(head, address, size, written);
    notes[place + B] = shareB(head, address, size, written);
    return (notes[place + FLOW] = flowOfHead(head) + 1);
  }

  #slot(word: number): number {
    const known = this.#slotOf.get(word);
    if (known !== undefined) return known;
    const slot = this.#slotOf.size;
    this.#slotOf.set(word, slot);
    if ((slot + 1) * SLOT > this.#slots.length) this.#growSlots();
    this.#slots[slot * SLOT + WORD] = word;
    return slot;
  }

  #growSlots(): void {
    const grown = new Int32Array(this.#slots.length * 2);
    grown.set(this.#slots);
    this.#slots = grown;
  }
}
