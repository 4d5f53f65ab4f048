// An Express ingest: a device posts its reading, an INSERT over a pool stores it, and 204 says that it is stored.
const express = require("express");
const pg = require("pg");

const pool = new pg.Pool({
  host: process.env.RIVAL_DATABASE_HOST, database: process.env.RIVAL_DATABASE, user: process.env.RIVAL_DATABASE_USER, max: 10,
});
const meter = "insert into readings_meter (device, charge_point, ts, kwh, voltage) values ($1, $2, $3, $4, $5)";
const vehicle = "insert into readings_vehicle (device, charge_point, ts, kwh, soc, battery_temp) values ($1, $2, $3, $4, $5, $6)";

const app = express();
app.disable("x-powered-by").disable("etag");
app.use(express.json({ limit: "8kb" }));
app.post("/fleet/:chargePoint/meter", async (request, response) => {
  const { meterId, timestamp, kwhConsumedAc, voltage } = request.body;
  // a name makes node-postgres prepare the statement once a connection
  await pool.query({ name: "meter", text: meter, values: [meterId, request.params.chargePoint, timestamp, kwhConsumedAc, voltage] });
  response.status(204).end();
});
app.post("/fleet/:chargePoint/vehicle", async (request, response) => {
  const { vehicleId, timestamp, kwhDeliveredDc, soc, batteryTemp } = request.body;
  const values = [vehicleId, request.params.chargePoint, timestamp, kwhDeliveredDc, soc, batteryTemp];
  await pool.query({ name: "vehicle", text: vehicle, values });
  response.status(204).end();
});
app.listen(Number(process.env.RIVAL_HTTP_PORT), "127.0.0.1");
