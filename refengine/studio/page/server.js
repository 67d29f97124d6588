// The studio's calls. Every address is relative to the page's own, which holds the token.

// A refusal of the server: one sentence for people.
export class Refusal extends Error {}

const address = (call, parameters) => {
  const known = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== "");
  return `call/${call}?${new URLSearchParams(known)}`;
};

async function fetched(call, parameters, body) {
  let response;
  try {
    response = await fetch(address(call, parameters), body ? { method: "POST", body } : {});
  } catch {
    throw new Refusal("The studio does not answer: it has been ended, or the network is gone.");
  }
  if (response.ok) return response;
  const told = await response.json().catch(() => ({}));
  throw new Refusal(told.error || `the studio answers with the status ${response.status}`);
}

export const ask = async (call, parameters = {}, body = null) => (await fetched(call, parameters, body)).json();

export const bytesOf = async (call, parameters = {}) => (await fetched(call, parameters)).arrayBuffer();

export const link = address;
