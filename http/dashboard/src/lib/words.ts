// What codes mean, for people.

import { duration, number, percent } from './format';
import type { AlertKind, Pairing, Quality, Status } from './wire';

export const STATUS: Record<Status, { word: string; means: string }> = {
  ok: { word: 'OK', means: 'At least 85 % of the AC drawn reached the battery.' },
  degraded: { word: 'Degraded', means: 'Under 85 % of the AC drawn reached the battery: a fault or leakage.' },
  implausible: { word: 'Implausible', means: 'More DC arrived than AC was drawn: a meter is wrong, or it is another vehicle’s.' },
  unknown: { word: 'Unknown', means: 'There is no ratio: AC or DC was not measured.' },
};

export const PAIRING: Record<Pairing, { word: string; means: string }> = {
  link: { word: 'Link', means: 'By an explicit link: this meter measures this vehicle.' },
  exclusive: { word: 'Exclusive', means: 'The only vehicle at its charge point: all AC measured there is its own.' },
  shared: { word: 'Shared', means: 'Several vehicles were at the charge point: AC is split in proportion to the DC that each received, an estimate.' },
  none: { word: 'None', means: 'No AC could be matched to the vehicle.' },
};

export const ALERT: Record<AlertKind, { word: string; todo: string }> = {
  low_efficiency: { word: 'Low efficiency', todo: 'Look at the charger and the cable of this vehicle.' },
  implausible: { word: 'Implausible', todo: 'Check the meter, and whether it is linked to the right vehicle.' },
  register_reset: { word: 'Register reset', todo: 'Check whether the device was replaced or restarted.' },
  silent_device: { word: 'Silent', todo: 'Check its power and its network.' },
  two_places: { word: 'Two places', todo: 'Two devices use one id, or somebody uses its login: look at both charge points, then issue a new login.' },
};

export const REASONS: Record<string, string> = {
  bad_topic: 'The topic’s charge point or kind is not valid.',
  stream_mismatch: 'A vehicle’s payload on a meter’s topic, or the other way round.',
  wrong_place: 'The device is bound to another charge point.',
  conflict: 'The same device and time with other content; the first one stands.',
};

export type Confidence = 'high' | 'fair' | 'low' | 'none';

/** How far a ratio can be trusted: how AC was matched, and how much of the time was heard (docs/dashboard.md). */
export function confidence(ratio: number | null, pairing: Pairing, covered: number | null): Confidence {
  if (ratio === null || pairing === 'none') return 'none';
  const heard = covered ?? 0;
  if (heard < 0.5) return 'low';
  return pairing === 'shared' || heard < 0.9 ? 'fair' : 'high';
}

export const CONFIDENCE: Record<Confidence, string> = {
  high: 'High confidence',
  fair: 'Fair confidence',
  low: 'Low confidence',
  none: 'No ratio',
};

/** An answer's quality as sentences. */
export function qualityInWords(quality: Quality): string[] {
  const { vehicleReadings, meterReadings, expectedReadings } = quality;
  const said = [
    PAIRING[quality.pairing].means,
    `${number(vehicleReadings)} of ${number(expectedReadings)} expected readings of the vehicle came (one a minute), and ${number(meterReadings)} of its meters.`,
    quality.gapMinutes > 0 ? `The vehicle was silent for ${duration(quality.gapMinutes)} in all.` : 'There is no gap in the vehicle’s readings.',
  ];
  if (quality.lateShare) said.push(`${percent(quality.lateShare)} of the readings came more than five minutes late.`);
  said.push(...registersInWords(quality));
  if (quality.pairedEfficiencyRatio !== null) {
    said.push(`Where both streams are complete to 80 %, the ratio is ${percent(quality.pairedEfficiencyRatio)}: the status is judged on it.`);
  }
  if (quality.reason) said.push(quality.reason);
  return said;
}

function registersInWords(quality: Quality): string[] {
  return [
    count(quality.counterResets, 'counter reset', 'counted from the new start'),
    count(quality.glitches, 'glitch', 'ignored'),
    count(quality.jumps, 'jump', 'more than the hardware can deliver, counted as nothing'),
    count(quality.recovered, 'recovered gap', 'its energy is counted in the first reading after it'),
  ].filter((sentence) => sentence !== '');
}

function count(of: number, what: string, meaning: string): string {
  if (of === 0) return '';
  const plural = of === 1 ? what : what.endsWith('ch') ? `${what}es` : `${what}s`;
  return `${number(of)} ${plural}: ${meaning}.`;
}
