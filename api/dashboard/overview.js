/** The header's tiles and the topology, out of the same two answers. */
import { byId, make, setAttribute, setChildren, setText } from "./dom.js";
import { count, rate } from "./format.js";
import { Rates } from "./rates.js";
import { TopologyGraph } from "./topology-graph.js";

const FORBIDDEN = 403;
/** Two minutes at an answer a second. */
const SPARK_POINTS = 120;
/** Until then the line grows in from the right. */
const MIN_SPARK_POINTS = 12;

export class Overview {
  #client;
  #rates = new Rates();
  #graph;
  #shape;
  #spark = [];
  /** A tenant's token does not open what is about the deployment. */
  #isClosed = false;

  /** @param {import("./api-client.js").ApiClient} client */
  constructor(client) {
    this.#client = client;
  }

  async load() {
    if (this.#isClosed) return;
    const [topology, tasks] = await Promise.all([this.#client.get("/v1/topology"), this.#client.get("/v1/tasks")]).catch((error) => {
      if (error.status !== FORBIDDEN) throw error;
      return [];
    });
    if (topology === undefined) {
      this.#isClosed = true;
      for (const part of document.querySelectorAll("[data-monitor]")) part.hidden = true;
      return;
    }
    this.#drawTasks(tasks);
    this.#drawGraph(topology);
  }

  setFiring(total, isWhole) {
    setText(byId("firing"), `${count(total)}${isWhole ? "" : "+"}`);
    setAttribute(byId("alert-tile"), "data-firing", total > 0);
  }

  #drawTasks({ workers, missing }) {
    const tasks = workers.flatMap((worker) => worker.tasks);
    const running = tasks.filter((task) => task.status === "running").length;
    const lag = tasks.flatMap((task) => task.inputs).reduce((sum, input) => sum + Math.max(0, input.lag), 0);
    setText(byId("tasks"), `${running}/${tasks.length}`);
    setText(byId("lag"), count(lag));
    const gone = missing.length === 0 ? "" : `, ${missing.length} not answering`;
    setText(byId("topology-note"), `${workers.length} ${workers.length === 1 ? "worker" : "workers"}${gone}`);
  }

  #drawGraph(topology) {
    const shape = JSON.stringify([topology.nodes, topology.edges.map(({ from, to }) => [from, to])]);
    if (shape !== this.#shape) {
      this.#shape = shape;
      this.#graph = new TopologyGraph(topology, byId("topology-box").clientWidth);
      setChildren(
        byId("topology-box"),
        topology.nodes.length > 0 ? [this.#graph.element] : [make("p", { class: "empty" }, "No topology yet.")],
      );
    }
    const rates = this.#rates.next(topology);
    if (rates === undefined) return;
    this.#graph.setRates(rates);
    const of = (kind) => new Set(topology.nodes.filter((node) => node.kind === kind).map((node) => node.name));
    const [sources, sinks] = [of("source"), of("sink")];
    const into = rates.filter((edge) => sources.has(edge.from)).reduce((sum, edge) => sum + edge.perSecond, 0);
    const out = rates.filter((edge) => sinks.has(edge.to)).reduce((sum, edge) => sum + edge.perSecond, 0);
    setText(byId("rate-in"), rate(into));
    setText(byId("rate-out"), rate(out));
    this.#drawSpark(into);
  }

  #drawSpark(perSecond) {
    this.#spark = [...this.#spark, perSecond].slice(-SPARK_POINTS);
    const top = Math.max(1, ...this.#spark) * 1.1;
    const step = 100 / (Math.max(MIN_SPARK_POINTS, this.#spark.length) - 1);
    const left = 100 - (this.#spark.length - 1) * step;
    const line = this.#spark.map((each, index) => `${(left + index * step).toFixed(2)},${(30 - (each / top) * 28).toFixed(2)}`).join("L");
    const [fill, stroke] = byId("spark").children;
    stroke.setAttribute("d", `M${line}`);
    fill.setAttribute("d", `M${left},30L${line}L100,30Z`);
  }
}
