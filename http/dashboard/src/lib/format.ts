// Numbers and times as a person reads them. Null is a dash with a meaning, never a zero.

export const NONE = '–';

const formats = new Map<number, Intl.NumberFormat>();

export function number(value: number | null | undefined, digits = 0): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  let format = formats.get(digits);
  if (!format) {
    format = new Intl.NumberFormat('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
    formats.set(digits, format);
  }
  return format.format(value);
}

export function percent(share: number | null | undefined, digits = 1): string {
  return share === null || share === undefined ? NONE : `${number(share * 100, digits)} %`;
}

/** A share that is never rounded up to the whole. */
export function coverage(share: number | null | undefined): string {
  if (share === null || share === undefined) return NONE;
  return `${number(Math.floor(share * 1000) / 10, share >= 1 || share === 0 ? 0 : 1)} %`;
}

/** Watts in the unit that fits. */
export function power(kw: number | null | undefined): string {
  if (kw === null || kw === undefined) return NONE;
  return Math.abs(kw) >= 10_000 ? `${number(kw / 1000, 2)} MW` : `${number(kw, kw >= 100 ? 0 : 1)} kW`;
}

export function energy(kwh: number | null | undefined): string {
  if (kwh === null || kwh === undefined) return NONE;
  return Math.abs(kwh) >= 10_000 ? `${number(kwh / 1000, 2)} MWh` : `${number(kwh, kwh >= 100 ? 1 : 2)} kWh`;
}

export function age(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 90) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} d`;
}

export function duration(minutes: number): string {
  if (minutes < 1) return 'under a minute';
  if (minutes < 90) return `${Math.round(minutes)} min`;
  return `${number(minutes / 60, 1)} h`;
}

const LOCAL = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });
const SHORT = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' });

export function localTime(ms: number): string {
  return LOCAL.format(ms);
}

export function clockTime(ms: number): string {
  return CLOCK.format(ms);
}

export function shortTime(ms: number): string {
  return SHORT.format(ms);
}

export function utcTime(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').replace(/\.\d+Z$/, ' UTC').replace(/Z$/, ' UTC');
}

/** The value of an input of type datetime-local, which has no zone: the viewer's. */
export function toInput(ms: number): string {
  const date = new Date(ms);
  return new Date(ms - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

export function fromInput(text: string): number {
  return new Date(text).getTime();
}

export function rfc3339(ms: number): string {
  return new Date(ms).toISOString();
}
