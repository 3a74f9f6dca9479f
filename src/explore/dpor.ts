import { BoundedSearch } from './bounded.ts';
export class DporSearch extends BoundedSearch { constructor(o: { runs: number }) { super({ kind: 'preemptions', runs: o.runs }); } }
