import { now } from '../lib/clock';
import { age, localTime, shortTime, utcTime } from '../lib/format';

/** A time in the viewer's zone; UTC on hover. */
export function Time({ at, short }: { at: string | number; short?: boolean }) {
  const ms = typeof at === 'number' ? at : Date.parse(at);
  return (
    <time dateTime={new Date(ms).toISOString()} title={utcTime(ms)}>
      {short ? shortTime(ms) : localTime(ms)}
    </time>
  );
}

/** How long ago, ticking; local time and UTC on hover. */
export function Ago({ at }: { at: string | number }) {
  const ms = typeof at === 'number' ? at : Date.parse(at);
  return (
    <time dateTime={new Date(ms).toISOString()} title={`${localTime(ms)}\n${utcTime(ms)}`}>
      {age(now.value - ms)} ago
    </time>
  );
}
