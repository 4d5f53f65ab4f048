// What the API sends (docs/api.md, /openapi.json). Times are RFC 3339 in UTC; null is not known, never zero.

export type Status = 'ok' | 'degraded' | 'implausible' | 'unknown';
export type Pairing = 'none' | 'shared' | 'exclusive' | 'link';

export interface Window {
  from: string;
  to: string;
}

/** A vehicle's newest reading, as the stream sends it. */
export interface VehicleNow {
  vehicleId: string;
  chargePoint: string;
  timestamp: string;
  receivedAt: string;
  soc: number;
  kwhDeliveredDc: number;
  batteryTemp: number;
  charging: boolean;
  stale: boolean;
}

/** What the last 24 hours say about a vehicle: only in lists. */
export interface VehicleDay {
  efficiencyRatio: number | null;
  status: Status;
  pairing: Pairing;
  coverage: number;
}

export type Vehicle = VehicleNow & VehicleDay;

export interface MeterNow {
  meterId: string;
  chargePoint: string;
  timestamp: string;
  receivedAt: string;
  kwhConsumedAc: number;
  voltage: number;
  charging: boolean;
  stale: boolean;
}

export interface Quality {
  pairing: Pairing;
  vehicleReadings: number;
  meterReadings: number;
  expectedReadings: number;
  coverage: number | null;
  gapMinutes: number;
  counterResets: number;
  glitches: number;
  jumps: number;
  recovered: number;
  lateShare: number | null;
  reason: string | null;
  pairedEfficiencyRatio: number | null;
}

interface Answer {
  window: Window;
  totalKwhConsumedAc: number | null;
  totalKwhDeliveredDc: number | null;
  efficiencyRatio: number | null;
  avgBatteryTemp: number | null;
  status: Status;
  quality: Quality;
}

export interface SeriesPoint extends Answer {
  soc: number | null;
}

export interface Performance extends Answer {
  vehicleId: string;
  meters: { meterId: string; kwhConsumedAc: number }[];
}

export interface Series {
  vehicleId: string;
  window: Window;
  bucket: '15m' | '1h' | '1d';
  points: SeriesPoint[];
}

export interface Fleet {
  requested: Window;
  window: Window;
  note: string | null;
  totalKwhConsumedAc: number | null;
  totalKwhDeliveredDc: number | null;
  unattributedKwhAc: number;
  efficiencyRatio: number | null;
  pairedEfficiencyRatio: number | null;
  counts: {
    vehicles: number;
    meters: number;
    charging: number;
    silentVehicles: number;
    silentMeters: number;
    ok: number;
    degraded: number;
    implausible: number;
    unknown: number;
  };
  distribution: { from: number; to: number | null; vehicles: number }[];
  worst: {
    vehicleId: string;
    ratio: number;
    totalKwhConsumedAc: number;
    totalKwhDeliveredDc: number;
    coverage: number;
    pairing: Pairing;
    status: Status;
    reason: string;
  }[];
}

export interface Power {
  points: { from: string; acKw: number | null; dcKw: number | null }[];
}

export type AlertKind = 'low_efficiency' | 'implausible' | 'register_reset' | 'silent_device' | 'two_places';

export interface Alert {
  id: number;
  kind: AlertKind;
  device: string;
  deviceKind: 'meter' | 'vehicle';
  openedAt: string;
  closedAt: string | null;
  value: number | null;
  threshold: number;
  detail: string;
  closedBecause: string | null;
}

export interface Link {
  id: number;
  vehicleId: string;
  meterId: string;
  validFrom: string;
  validTo: string | null;
  createdAt: string;
}

export interface Gateway {
  gateway: string;
  host: string;
  version: string;
  startedAt: string;
  beatAt: string;
  alive: boolean;
  received: number;
  committed: number;
  duplicate: number;
  quarantined: number;
  pending: number;
  ratePerSecond: number;
  lagSeconds: number | null;
}

export interface QuarantineItem {
  id: number;
  reason: string;
  detail: string;
  topic: string;
  payload: string;
  payloadTruncated: boolean;
  count: number;
  firstSeen: string;
  lastSeen: string;
}

export interface QuarantineTotal {
  reason: string;
  rows: number;
  messages: number;
  overflowed: number;
}

export interface Quarantine {
  items: QuarantineItem[];
  nextCursor: string | null;
  totals: QuarantineTotal[];
}

export interface Replayed {
  outcome: 'committed' | 'duplicate' | 'quarantined';
  reason: string | null;
  detail: string | null;
}

/** RFC 9457. */
export interface Problem {
  status: number;
  title: string;
  detail: string;
  code: string;
  requestId: string;
}
