/** The records of one batch as the topology sees them: structurally the event log's RecordsView. */
export interface RecordColumns {
  readonly count: number;
  /** Every start and end below indexes these bytes; a start of -1 means null. */
  readonly bytes: Buffer;
  readonly offsets: Float64Array;
  readonly timestamps: Float64Array;
  readonly keyStarts: Int32Array;
  readonly keyEnds: Int32Array;
  readonly valueStarts: Int32Array;
  readonly valueEnds: Int32Array;
}
