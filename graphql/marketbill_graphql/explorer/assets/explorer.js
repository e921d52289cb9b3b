// The key lives in this tab only (sessionStorage). A link may carry one after the #, which never reaches a server.
const STORE = "marketbill-key";
const fromLink = new URLSearchParams(location.hash.slice(1)).get("key");
if (fromLink) {
  sessionStorage.setItem(STORE, fromLink);
  history.replaceState(null, "", location.pathname);
}

const input = document.getElementById("key");
const state = document.getElementById("state");
const root = ReactDOM.createRoot(document.getElementById("graphiql"));
input.value = sessionStorage.getItem(STORE) || "";

const FIRST_QUERY = `# Paste a key above. Ctrl-Enter runs, Ctrl-Space completes; the book on the left is the schema.
query Viewer {
  viewer {
    role
  }
}
`;

async function send(params, options) {
  const key = sessionStorage.getItem(STORE);
  const headers = { "content-type": "application/json", accept: "application/json", ...(options && options.headers) };
  if (key && !Object.keys(headers).some((name) => name.toLowerCase() === "authorization")) {
    headers.authorization = `Bearer ${key}`;
  }
  const response = await fetch("/graphql", { method: "POST", headers, body: JSON.stringify(params) });
  return response.json();
}

async function show() {
  if (!sessionStorage.getItem(STORE)) {
    state.value = "no key: the schema cannot be read yet";
  } else {
    const answer = await send({ query: "{ viewer { role } }" });
    state.value = answer.errors ? answer.errors[0].message : `role ${answer.data.viewer.role}`;
  }
  // A new element key makes GraphiQL read the schema again with the new credential.
  root.render(
    React.createElement(GraphiQL, {
      key: sessionStorage.getItem(STORE) || "none",
      fetcher: send,
      defaultQuery: FIRST_QUERY,
      isHeadersEditorEnabled: true,
      shouldPersistHeaders: false,
      defaultEditorToolsVisibility: "variables",
    }),
  );
}

document.getElementById("credential").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(STORE, input.value.trim());
  show();
});
show();
