import { useEffect } from 'preact/hooks';
import { get } from '../lib/api';
import { isStale } from '../lib/clock';
import { coverage, energy, number, percent } from '../lib/format';
import { useLoad } from '../lib/load';
import { openAlerts, vehicles, vehiclesChanged, watched } from '../lib/state';
import type { Performance, Series, VehicleNow } from '../lib/wire';
import { ALERT, CONFIDENCE, STATUS, confidence, qualityInWords } from '../lib/words';
import { Confidence, Presence, StatusBadge } from '../parts/badges';
import { Empty, Failure, Figure, Loading, Panel } from '../parts/states';
import { Ago, Time } from '../parts/time';
import { VehicleCharts } from './vehicle-charts';
import { Meters } from './vehicle-links';
import { WindowChoice, chosenWindow } from './window';

const REFRESH_MS = 60_000;

interface Answers {
  performance: Performance;
  series: Series;
}

export function VehiclePage({ id }: { id: string }) {
  const chosen = chosenWindow();
  const path = `/v1/analytics/performance/${encodeURIComponent(id)}`;
  const answers = useLoad<Answers>(`${id} ${chosen.key}`, async (abort) => {
    const query = chosen.query(); // the same for both
    const performance = await get<Performance>(`${path}?${query}`, abort);
    return { performance, series: await get<Series>(`${path}/series?${query}&bucket=${chosen.bucket}`, abort) };
  });
  const now = useNow(id);
  useRefresh(now?.timestamp, chosen.isMoving, answers.again);
  const { value, error } = answers;
  return (
    <>
      <div class="page-head">
        <div>
          <p class="crumb"><a href="#/vehicles">Vehicles</a></p>
          <h1 class="id">{id}</h1>
        </div>
        <WindowChoice />
      </div>
      {now && <State now={now} />}
      <Alerts id={id} />
      {value ? (
        <>
          <Summary performance={value.performance} />
          <Panel title="Course" aside={<Span of={value.performance} />}>
            {value.series.points.some((point) => point.quality.vehicleReadings + point.quality.meterReadings > 0) ? (
              <VehicleCharts series={value.series} />
            ) : (
              <Empty title="No reading in this window.">{value.performance.quality.reason ?? 'Choose another window.'}</Empty>
            )}
          </Panel>
          <div class="columns even">
            <Quality performance={value.performance} />
            <Meters vehicle={id} performance={value.performance} changed={answers.again} />
          </div>
        </>
      ) : error ? (
        <Failure what={id} why={error} retry={answers.again} />
      ) : (
        <Loading what={id} />
      )}
    </>
  );
}

/** The newest reading: from the table when that is followed, else from the vehicle's own changes. */
function useNow(id: string): VehicleNow | null {
  const first = useLoad<VehicleNow>(`now ${id}`, (abort) => get<VehicleNow>(`/v1/vehicles/${encodeURIComponent(id)}`, abort));
  vehiclesChanged.value;
  const candidates = [first.value, vehicles.get(id) ?? null, watched.value?.vehicleId === id ? watched.value : null];
  return candidates.reduce((best, one) => (one && (!best || Date.parse(one.timestamp) >= Date.parse(best.timestamp)) ? one : best), null);
}

/** A window that ends now is asked for again after a new reading, at most once a minute. */
function useRefresh(timestamp: string | undefined, isMoving: boolean, again: () => void): void {
  useEffect(() => {
    if (!isMoving || !timestamp) return undefined;
    const timer = setTimeout(again, REFRESH_MS);
    return () => clearTimeout(timer);
  }, [timestamp, isMoving]);
}

function State({ now }: { now: VehicleNow }) {
  const at = Date.parse(now.timestamp);
  return (
    <dl class="facts" aria-label="Newest reading">
      <div><dt>State</dt><dd><Presence stale={isStale(at)} charging={now.charging} /></dd></div>
      <div><dt>State of charge</dt><dd>{number(now.soc, 1)} %</dd></div>
      <div><dt>Battery</dt><dd>{number(now.batteryTemp, 1)} °C</dd></div>
      <div><dt>Charge point</dt><dd class="id">{now.chargePoint}</dd></div>
      <div><dt>Last seen</dt><dd><Ago at={at} /></dd></div>
    </dl>
  );
}

function Alerts({ id }: { id: string }) {
  const own = (openAlerts.value.value ?? []).filter((alert) => alert.device === id && alert.deviceKind === 'vehicle');
  return (
    <>
      {own.map((alert) => (
        <p key={alert.id} class="notice" role="note">
          <strong>{ALERT[alert.kind].word}</strong> since <Time at={alert.openedAt} />: {alert.detail}. {ALERT[alert.kind].todo}
        </p>
      ))}
    </>
  );
}

function Summary({ performance }: { performance: Performance }) {
  const { quality, totalKwhConsumedAc: ac, totalKwhDeliveredDc: dc } = performance;
  const ratio = quality.pairedEfficiencyRatio ?? performance.efficiencyRatio;
  return (
    <dl class="figures">
      <Figure label="AC drawn" value={energy(ac)} note={ac === null ? 'not measured' : `${number(quality.meterReadings)} meter readings`} />
      <Figure label="DC delivered" value={energy(dc)} note={dc === null ? 'not measured' : `${number(quality.vehicleReadings)} readings`} />
      <Figure
        label="Efficiency"
        value={percent(ratio)}
        note={ac !== null && ratio !== null && ratio < 1 ? `about ${energy(ac * (1 - ratio))} lost` : 'line at 85 %'}
        tone={ratio !== null && (ratio < 0.85 || ratio > 1) ? 'bad' : ''}
      />
      <Figure label="Status" value={<StatusBadge status={performance.status} />} note={STATUS[performance.status].means} />
      <Figure
        label="Confidence"
        value={<Confidence ratio={ratio} pairing={quality.pairing} covered={quality.coverage} />}
        note={`${quality.pairing} pairing, ${coverage(quality.coverage)} of the readings`}
      />
      <Figure label="Battery, mean" value={performance.avgBatteryTemp === null ? '–' : `${number(performance.avgBatteryTemp, 1)} °C`} note="over the readings" />
    </dl>
  );
}

function Span({ of }: { of: Performance }) {
  return <span><Time at={of.window.from} short /> to <Time at={of.window.to} short /></span>;
}

function Quality({ performance: { quality, efficiencyRatio } }: { performance: Performance }) {
  const is = confidence(quality.pairedEfficiencyRatio ?? efficiencyRatio, quality.pairing, quality.coverage);
  return (
    <Panel title="How far this can be trusted" aside={CONFIDENCE[is]}>
      <ul class="sentences">
        {qualityInWords(quality).map((sentence) => (
          <li key={sentence}>{sentence}</li>
        ))}
      </ul>
    </Panel>
  );
}
