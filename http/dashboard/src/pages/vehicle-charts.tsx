// A vehicle's series as plots on one axis of time: energies, ratio, temperature. Gaps are shaded, resets marked; the same as a table below.

import { useMemo } from 'preact/hooks';
import uPlot from 'uplot';
import { coverage, duration, energy, number, percent } from '../lib/format';
import type { Series, SeriesPoint } from '../lib/wire';
import { StatusBadge } from '../parts/badges';
import { Chart, axes, colour, timeSeries } from '../parts/chart';
import { Time } from '../parts/time';

const LINE = 0.85;
const STANDBY_KW = 0.05;
const SECONDS = { '15m': 900, '1h': 3600, '1d': 86_400 };
const SYNC = { key: 'vehicle' };
const NAMES = { '15m': '15 minutes', '1h': 'hour', '1d': 'day' };

export function VehicleCharts({ series }: { series: Series }) {
  const { points, bucket } = series;
  const times = useMemo(() => points.map((point) => stepOf(point, bucket)), [points]);
  const isPaired = points.some((point) => point.quality.pairedEfficiencyRatio !== null);
  const ratioOf = (point: SeriesPoint) => (isPaired ? point.quality.pairedEfficiencyRatio : point.efficiencyRatio);
  const isJudged = (point: SeriesPoint) => ratioOf(point) !== null && isAwake(point, bucket);
  const column = (value: (point: SeriesPoint) => number | null) => points.map(value);
  const energies = useMemo<uPlot.AlignedData>(
    () => [times, column((point) => point.totalKwhConsumedAc), column((point) => point.totalKwhDeliveredDc)],
    [points],
  );
  const ratios = useMemo<uPlot.AlignedData>(() => [times, column((point) => (isJudged(point) ? ratioOf(point) : null))], [points]);
  const temperatures = useMemo<uPlot.AlignedData>(() => [times, column((point) => point.avgBatteryTemp)], [points]);
  const charge = useMemo<uPlot.AlignedData>(() => [times, column((point) => point.soc)], [points]);
  const judged = points.filter(isJudged);
  const gaps = points.reduce((sum, point) => sum + point.quality.gapMinutes, 0);
  const shape = `${series.vehicleId} ${series.window.from} ${series.window.to}`;
  return (
    <div class="charts">
      <h3>AC drawn and DC delivered, per {NAMES[bucket]}</h3>
      <Chart
        label={`AC and DC per ${NAMES[bucket]}, ${points.length} steps. ${gaps > 0 ? `Readings are missing for ${duration(gaps)}.` : 'No gaps.'} The table below has the figures.`}
        height={210}
        data={energies}
        shape={`energy ${shape}`}
        options={() => energyOptions(points)}
      />
      <h3>Ratio of DC to AC, with the line at 85 %</h3>
      <Chart
        label={`Ratio of DC to AC per ${NAMES[bucket]}: ${judged.filter((point) => (ratioOf(point) ?? 1) < LINE).length} of ${judged.length} steps with energy are under 85 %.`}
        height={170}
        data={ratios}
        shape={`ratio ${shape}`}
        options={() => ratioOptions(points)}
      />
      <h3>Battery temperature</h3>
      <Chart
        label={`Mean battery temperature per ${NAMES[bucket]}, in degrees Celsius. The table below has the figures.`}
        height={140}
        data={temperatures}
        shape={`temperature ${shape}`}
        options={() => lineOptions(points, 'Battery', 'warm', (degrees) => `${number(degrees, 0)} °C`)}
      />
      <h3>State of charge</h3>
      <Chart
        label={`State of charge at the end of each ${NAMES[bucket]}, in per cent. The table below has the figures.`}
        height={140}
        data={charge}
        shape={`charge ${shape}`}
        options={() => lineOptions(points, 'Charge', 'accent', (soc) => `${number(soc, 0)} %`, [0, 100])}
      />
      <p class="legend">
        <span class="key gap">no readings</span> <span class="key reset">counter reset or jump</span>
        <span class="key line">85 %</span> <span>no ratio where under {number(STANDBY_KW * 1000)} W were drawn{isPaired && ', or where readings of one stream are missing'}</span>
      </p>
      <Figures points={points} />
    </div>
  );
}

/** Where a step's bucket begins, in seconds: the first step of a window may begin later, and would make all bars thin. */
function stepOf(point: SeriesPoint, bucket: Series['bucket']): number {
  const length = SECONDS[bucket];
  return Math.floor(Date.parse(point.window.from) / 1000 / length) * length;
}

/** Whether the step has more AC than a charger that waits draws: the ratio of standby is zero and says nothing. */
function isAwake(point: SeriesPoint, bucket: Series['bucket']): boolean {
  return (point.totalKwhConsumedAc ?? 0) >= (STANDBY_KW * SECONDS[bucket]) / 3600;
}

type Options = Omit<uPlot.Options, 'width' | 'height'>;

function base(points: SeriesPoint[]): Pick<Options, 'cursor' | 'hooks' | 'legend'> {
  return { cursor: { sync: SYNC, points: { size: 6 } }, legend: { live: true }, hooks: { drawClear: [(plot) => marks(plot, points)] } };
}

function energyOptions(points: SeriesPoint[]): Options {
  const value = (_: uPlot, kwh: number | null) => energy(kwh);
  const bars = (align: -1 | 1) => uPlot.paths.bars!({ size: [0.42, 26], align, gap: 0 });
  return {
    ...base(points),
    scales: { y: { range: (_, __, most) => [0, Math.max(0.1, (most ?? 0) * 1.1)] } },
    axes: axes((kwh) => `${number(kwh, kwh < 10 && kwh % 1 !== 0 ? (kwh < 1 ? 2 : 1) : 0)} kWh`),
    series: [
      timeSeries(),
      { label: 'AC', fill: colour('ac'), stroke: colour('ac'), width: 0, value, paths: bars(-1), points: { show: false } },
      { label: 'DC', fill: colour('dc'), stroke: colour('dc'), width: 0, value, paths: bars(1), points: { show: false } },
    ],
  };
}

function ratioOptions(points: SeriesPoint[]): Options {
  return {
    ...base(points),
    hooks: { drawClear: [(plot) => marks(plot, points)], draw: [(plot) => threshold(plot)] },
    scales: { y: { range: (_, least, most) => [Math.min(0.7, (least ?? 1) - 0.03), Math.max(1.02, (most ?? 1) + 0.03)] } },
    axes: axes((ratio) => percent(ratio, 0)),
    series: [
      timeSeries(),
      { label: 'Ratio', stroke: colour('accent'), width: 1.8, value: (_, ratio) => percent(ratio), points: { show: true, size: 4, fill: colour('accent') } },
    ],
  };
}

function lineOptions(points: SeriesPoint[], label: string, stroke: string, text: (value: number) => string, range?: [number, number]): Options {
  return {
    ...base(points),
    ...(range && { scales: { y: { range } } }),
    axes: axes(text),
    series: [
      timeSeries(),
      { label, stroke: colour(stroke), width: 1.8, value: (_, value) => (value === null ? '–' : text(value)), points: { show: false } },
    ],
  };
}

/** Behind the plot: steps with missing readings shaded, those in which a register started again marked. */
function marks(plot: uPlot, points: SeriesPoint[]): void {
  const { ctx } = plot;
  const { top, height, left, width } = plot.bbox;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  for (const point of points) {
    const from = plot.valToPos(Date.parse(point.window.from) / 1000, 'x', true);
    const to = plot.valToPos(Date.parse(point.window.to) / 1000, 'x', true);
    if (point.quality.gapMinutes >= 1) {
      ctx.fillStyle = colour('gap');
      ctx.fillRect(from, top, Math.max(2, to - from), height);
    }
    if (point.quality.counterResets + point.quality.jumps > 0) {
      ctx.fillStyle = colour('reset');
      ctx.fillRect((from + to) / 2 - 1, top, 2, height);
    }
  }
  ctx.restore();
}

function threshold(plot: uPlot): void {
  const { ctx } = plot;
  const { left, width } = plot.bbox;
  const y = plot.valToPos(LINE, 'y', true);
  ctx.save();
  ctx.strokeStyle = colour('bad');
  ctx.lineWidth = 1.5;
  ctx.setLineDash([6, 5]);
  ctx.beginPath();
  ctx.moveTo(left, y);
  ctx.lineTo(left + width, y);
  ctx.stroke();
  ctx.restore();
}

function Figures({ points }: { points: SeriesPoint[] }) {
  return (
    <details class="figures-table">
      <summary>The figures as a table ({number(points.length)} rows)</summary>
      <div class="scroll-x tall" tabIndex={0} role="group" aria-label="The figures as a table">
        <table class="table">
          <thead>
            <tr>
              <th scope="col">From</th>
              <th scope="col" class="num">AC</th>
              <th scope="col" class="num">DC</th>
              <th scope="col" class="num">Ratio</th>
              <th scope="col" class="num">Battery</th>
              <th scope="col" class="num">Charge</th>
              <th scope="col" class="num">Readings</th>
              <th scope="col">Status</th>
              <th scope="col">Marks</th>
            </tr>
          </thead>
          <tbody>
            {points.map((point) => (
              <tr key={point.window.from}>
                <th scope="row"><Time at={point.window.from} short /></th>
                <td class="num">{energy(point.totalKwhConsumedAc)}</td>
                <td class="num">{energy(point.totalKwhDeliveredDc)}</td>
                <td class="num">{percent(point.efficiencyRatio)}</td>
                <td class="num">{number(point.avgBatteryTemp, 1)} °C</td>
                <td class="num">{point.soc === null ? '–' : `${number(point.soc, 0)} %`}</td>
                <td class="num">{coverage(point.quality.coverage)}</td>
                <td><StatusBadge status={point.status} /></td>
                <td>{marksInWords(point)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

function marksInWords({ quality }: SeriesPoint): string {
  return [
    quality.gapMinutes >= 1 ? `gap ${duration(quality.gapMinutes)}` : '',
    quality.counterResets > 0 ? `${quality.counterResets} reset` : '',
    quality.jumps > 0 ? `${quality.jumps} jump` : '',
  ].filter(Boolean).join(', ');
}
