// A Node-RED flow, run without its editor: MQTT in -> parameters -> PostgreSQL. Node-RED acknowledges a message on arrival.
const fs = require("fs");
const path = require("path");

const env = process.env;
const modules = env.NODE_PATH;
const parameters = {
  meter: "m => [m.meterId, place, m.timestamp, m.kwhConsumedAc, m.voltage]",
  vehicle: "m => [m.vehicleId, place, m.timestamp, m.kwhDeliveredDc, m.soc, m.batteryTemp]",
};
const statements = {
  meter: "insert into readings_meter (device, charge_point, ts, kwh, voltage) values ($1, $2, $3, $4, $5)",
  vehicle: "insert into readings_vehicle (device, charge_point, ts, kwh, soc, battery_temp) values ($1, $2, $3, $4, $5, $6)",
};
const text = (name, value) => ({ [name]: value, [`${name}FieldType`]: "str" });
const count = (name, value) => ({ [name]: String(value), [`${name}FieldType`]: "num" });

const flow = [
  { id: "flow", type: "tab", label: "ingest" },
  {
    id: "broker", type: "mqtt-broker", broker: "127.0.0.1", port: env.RIVAL_BROKER_PORT, clientid: env.RIVAL_CLIENT_ID,
    autoConnect: true, usetls: false, protocolVersion: "5", keepalive: "60", cleansession: false, sessionExpiry: "86400",
  },
  {
    id: "database", type: "postgresDB", ...text("host", env.RIVAL_DATABASE_HOST), ...count("port", 5432),
    ...text("database", env.RIVAL_DATABASE), ...text("user", env.RIVAL_DATABASE_USER), ...text("password", ""),
    ssl: "false", sslFieldType: "bool", ...count("max", 10), ...count("min", 1), ...count("idle", 10000), ...count("connectionTimeout", 0),
  },
  ...Object.keys(statements).flatMap((stream) => [
    {
      id: `${stream}-in`, z: "flow", type: "mqtt in", topic: `fleet/+/${stream}`, qos: "1", datatype: "json", broker: "broker",
      nl: false, rap: true, rh: 2, inputs: 0, wires: [[`${stream}-parameters`]],
    },
    {
      id: `${stream}-parameters`, z: "flow", type: "function", outputs: 1, libs: [], wires: [[`${stream}-store`]],
      func: `const place = msg.topic.split("/")[1]; msg.params = (${parameters[stream]})(msg.payload); return msg;`,
    },
    { id: `${stream}-store`, z: "flow", type: "postgrestor", query: statements[stream], postgresDB: "database", wires: [[]] },
  ]),
];

const home = env.RIVAL_HOME;
fs.writeFileSync(path.join(home, "flows.json"), JSON.stringify(flow));
fs.writeFileSync(path.join(home, "settings.js"), `module.exports = ${JSON.stringify({
  flowFile: "flows.json", uiHost: "127.0.0.1", uiPort: Number(env.RIVAL_HTTP_PORT), httpAdminRoot: false, httpNodeRoot: false,
  disableEditor: true, telemetry: { enabled: false }, nodesDir: [path.join(modules, "node-red-contrib-postgrestor-next")],
  logging: { console: { level: "warn", metrics: false, audit: false } },
})}`);
process.argv.push("--userDir", home, "--settings", path.join(home, "settings.js"));
require(path.join(modules, "node-red", "red.js"));
