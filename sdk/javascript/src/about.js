// What a rule is, and what it wants to be given.

/** Begins the description of a rule: it is given events of this CloudEvents `type`, keyed by their `subject`. */
export function on(eventType) {
  return new About().on(eventType);
}

export class About {
  #parts = { name: undefined, version: undefined, summary: undefined, subscriptions: [], moments: [], actions: [] };

  on(eventType) {
    text(eventType, "the type in `on`");
    // Without its `type`, an event that a pattern matched could not be told from the others.
    const attributes = eventType.endsWith("*") ? ["type"] : [];
    this.#parts.subscriptions.push({ eventType, filter: undefined, keyedBy: { tag: "attribute", val: "subject" }, attributes });
    return this;
  }

  keyedByAttribute(name) {
    this.#latest.keyedBy = { tag: "attribute", val: text(name, "the name in `keyedByAttribute`") };
    return this;
  }

  keyedByData(pointer) {
    this.#latest.keyedBy = { tag: "data", val: text(pointer, "the pointer in `keyedByData`") };
    return this;
  }

  keyedByNothing() {
    this.#latest.keyedBy = { tag: "nothing" };
    return this;
  }

  filter(expression) {
    this.#latest.filter = text(expression, "the expression in `filter`");
    return this;
  }

  attribute(name) {
    this.#latest.attributes.push(text(name, "the name in `attribute`"));
    return this;
  }

  moment(kind) {
    this.#parts.moments.push(text(kind, "the kind in `moment`"));
    return this;
  }

  action(name) {
    this.#parts.actions.push(text(name, "the name in `action`"));
    return this;
  }

  named(name) {
    this.#parts.name = text(name, "the name in `named`");
    return this;
  }

  version(version) {
    this.#parts.version = text(version, "the version in `version`");
    return this;
  }

  summary(summary) {
    this.#parts.summary = text(summary, "the text in `summary`");
    return this;
  }

  /** What was said, for the runner. */
  get parts() {
    return this.#parts;
  }

  get #latest() {
    return this.#parts.subscriptions.at(-1);
  }
}

function text(value, what) {
  if (typeof value !== "string" || !value.isWellFormed?.() && value.isWellFormed !== undefined) {
    throw new TypeError(`${what} must be a string`);
  }
  return value;
}
