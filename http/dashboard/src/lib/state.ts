// What the pages show, kept current by the one stream. Lists are loaded when a page first needs them, and again when events were missed.

import { effect, signal } from '@preact/signals';
import { get, inWords, isAbort } from './api';
import { route } from './route';
import { follow, restart } from './stream';
import type { Alert, Fleet, Gateway, Vehicle, VehicleNow } from './wire';

/** A vehicle in the table; times in milliseconds beside the texts, because they are compared often. */
export interface Row extends Vehicle {
  at: number;
  heard: number;
  search: string;
}

export interface Loaded<T> {
  value: T | null;
  error: string | null;
}

const LIST_PAGE = 1000;
const DAY_JITTER_MS = 20_000;

export const fleet = signal<Loaded<Fleet>>({ value: null, error: null });
export const openAlerts = signal<Loaded<Alert[]>>({ value: null, error: null });
export const gateways = signal<Loaded<Gateway[]>>({ value: null, error: null });

/** Every vehicle, by id. Rows are changed in place; `vehiclesChanged` counts the changes. */
export const vehicles = new Map<string, Row>();
export const vehiclesChanged = signal(0);
export const vehiclesLoad = signal<{ state: 'idle' | 'loading' | 'ready' | 'failed'; error: string }>({ state: 'idle', error: '' });

/** The vehicle of the vehicle page, from the list or from its own changes. */
export const watched = signal<VehicleNow | null>(null);

/** Alerts that opened or closed while the page was open: for the alerts page, and to be read out. */
export const alertNews = signal<{ opened: Alert[]; closed: Alert[] }>({ opened: [], closed: [] });

/** Counts how often everything was loaded because events were missed: pages load their own parts again. */
export const synced = signal(0);

let followsVehicles = false;
let wantsVehicles = false;
let dayUntil = '';
let dayTimer = 0;

/** Begins to follow what the page of the route needs; goes on with it when the route changes. */
export function start(): void {
  effect(() => {
    const { page, id } = route.value;
    // both stay: the way from the table to a vehicle and back is to be short
    if (page === 'vehicles') followsVehicles = true;
    if (page === 'vehicles' && !id) wantsVehicles = true;
    follow(`/v1/stream?kinds=fleet,alerts,gateways${followsVehicles ? ',vehicles' : ''}`, onEvent);
  });
}

/** Everything again: after another token, or when a person asks. */
export function reload(): void {
  restart();
}

function onEvent(event: string, data: unknown): void {
  switch (event) {
    case 'hello':
      if (!(data as { resumed: boolean }).resumed) void loadAll();
      break;
    case 'database':
      if ((data as { state: string }).state === 'up') void loadAll();
      break;
    case 'vehicles':
      onVehicles((data as { vehicles: VehicleNow[] }).vehicles);
      break;
    case 'fleet':
      onFleet(data as Fleet);
      break;
    case 'alerts':
      onAlerts(data as { opened: Alert[]; closed: Alert[] });
      break;
    case 'gateways':
      gateways.value = { value: (data as { gateways: Gateway[] }).gateways, error: null };
      break;
  }
}

async function loadAll(): Promise<void> {
  synced.value += 1;
  const loads = [loadFleet(), loadAlerts(), loadGateways()];
  // a load that began before the stream did may have missed what came between
  if (wantsVehicles) loads.push((loading ?? Promise.resolve()).then(loadVehicles));
  await Promise.all(loads);
}

async function loadFleet(): Promise<void> {
  await into(fleet, async () => {
    const answer = await get<Fleet>('/v1/analytics/fleet');
    onFleet(answer);
    return answer;
  });
}

async function loadAlerts(): Promise<void> {
  await into(openAlerts, async () => (await get<{ alerts: Alert[] }>('/v1/alerts?state=open&limit=1000')).alerts);
}

async function loadGateways(): Promise<void> {
  await into(gateways, async () => (await get<{ gateways: Gateway[] }>('/v1/gateways')).gateways);
}

async function into<T>(target: { value: Loaded<T> }, load: () => Promise<T>): Promise<void> {
  try {
    target.value = { value: await load(), error: null };
  } catch (error) {
    if (!isAbort(error)) target.value = { value: target.value.value, error: inWords(error) };
  }
}

let loading: Promise<void> | null = null;

/** All pages of the list, one after the other. What the stream brings meanwhile is kept when it is newer. */
export function loadVehicles(): Promise<void> {
  loading ??= loadPages().finally(() => {
    loading = null;
  });
  return loading;
}

async function loadPages(): Promise<void> {
  if (vehiclesLoad.value.state !== 'ready') vehiclesLoad.value = { state: 'loading', error: '' };
  try {
    let cursor: string | null = null;
    do {
      const next: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      const page: { vehicles: Vehicle[]; nextCursor: string | null } = await get(`/v1/vehicles?limit=${LIST_PAGE}${next}`);
      for (const vehicle of page.vehicles) take(vehicle);
      vehiclesChanged.value += 1;
      cursor = page.nextCursor;
    } while (cursor !== null);
    vehiclesLoad.value = { state: 'ready', error: '' };
  } catch (error) {
    const state = vehicles.size > 0 && vehiclesLoad.value.state === 'ready' ? 'ready' : 'failed';
    vehiclesLoad.value = { state, error: inWords(error) };
  }
}

function take(vehicle: Vehicle): void {
  const known = vehicles.get(vehicle.vehicleId);
  const at = Date.parse(vehicle.timestamp);
  if (known && known.at > at) {
    Object.assign(known, dayOf(vehicle));
    return;
  }
  vehicles.set(vehicle.vehicleId, rowOf(vehicle, at));
}

function dayOf(vehicle: Vehicle): Pick<Vehicle, 'efficiencyRatio' | 'status' | 'pairing' | 'coverage'> {
  const { efficiencyRatio, status, pairing, coverage } = vehicle;
  return { efficiencyRatio, status, pairing, coverage };
}

function rowOf(vehicle: Vehicle, at: number): Row {
  const search = `${vehicle.vehicleId} ${vehicle.chargePoint}`.toLowerCase();
  return { ...vehicle, at, heard: Date.parse(vehicle.receivedAt), search };
}

function onVehicles(changes: VehicleNow[]): void {
  const shown = route.value.page === 'vehicles' ? route.value.id : '';
  for (const change of changes) {
    if (change.vehicleId === shown) watched.value = change;
    if (!wantsVehicles) continue;
    const known = vehicles.get(change.vehicleId);
    const at = Date.parse(change.timestamp);
    if (known && at < known.at) continue;
    const day: Vehicle = known ?? { ...change, efficiencyRatio: null, status: 'unknown', pairing: 'none', coverage: 0 };
    vehicles.set(change.vehicleId, rowOf({ ...day, ...change }, at));
  }
  vehiclesChanged.value += 1;
}

function onFleet(answer: Fleet): void {
  fleet.value = { value: answer, error: null };
  if (dayUntil && dayUntil !== answer.window.to && wantsVehicles) reloadSoon();
  dayUntil = answer.window.to;
}

/** A quarter of an hour was summed: the vehicles' 24 hours have moved. Not all viewers ask at once. */
function reloadSoon(): void {
  clearTimeout(dayTimer);
  dayTimer = window.setTimeout(() => void loadVehicles(), Math.random() * DAY_JITTER_MS);
}

function onAlerts(change: { opened: Alert[]; closed: Alert[] }): void {
  const gone = new Set([...change.closed, ...change.opened].map((alert) => alert.id));
  const kept = (openAlerts.value.value ?? []).filter((alert) => !gone.has(alert.id));
  const opened = [...change.opened].sort((a, b) => b.id - a.id);
  openAlerts.value = { value: [...opened, ...kept], error: null };
  alertNews.value = change;
}
