import { coverage } from '../lib/format';
import type { Pairing, Status } from '../lib/wire';
import { CONFIDENCE, PAIRING, STATUS, confidence } from '../lib/words';

/** A state as a word with a mark of its own shape: not by colour alone. */
export function StatusBadge({ status }: { status: Status }) {
  const { word, means } = STATUS[status];
  return (
    <span class={`badge ${status}`} title={means}>
      {word}
    </span>
  );
}

export function Presence({ charging, stale }: { charging: boolean; stale: boolean }) {
  if (stale) return <span class="presence stale" title="No reading for five intervals.">Stale</span>;
  if (charging) return <span class="presence charging" title="The newest reading has energy.">Charging</span>;
  return <span class="presence idle" title="The newest reading has no energy.">Idle</span>;
}

const LEVEL = { none: 0, low: 1, fair: 2, high: 3 };

/** Three bars: how far the ratio can be trusted, and on hover why. */
export function Confidence({ ratio, pairing, covered }: { ratio: number | null; pairing: Pairing; covered: number | null }) {
  const is = confidence(ratio, pairing, covered);
  const why = `${CONFIDENCE[is]}: ${PAIRING[pairing].word.toLowerCase()} pairing, ${coverage(covered)} of the readings`;
  return (
    <span class={`confidence ${is}`} role="img" aria-label={why} title={why}>
      {[1, 2, 3].map((bar) => (
        <i key={bar} class={bar <= LEVEL[is] ? 'on' : ''} />
      ))}
    </span>
  );
}
