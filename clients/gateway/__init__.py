"""REST before Triton: `POST /infer`, `POST /batch_infer`, OpenAI's chat completions, health, metrics.

It is what faces people who are not trusted. Triton 2.51's own HTTP frontend can be killed by a malformed body; here a
request is read within bounds, checked against the typed objects of `pixelis.schema`, admitted under the limits of its
caller, and only then sent on, over gRPC.

    limits.py     what arrives within bounds of bytes and time (ASGI middleware, and uvicorn's protocol)
    body.py       bytes to JSON: depth, duplicate keys, UTF-8
    requests.py   the typed bodies, made from `Options`
    pictures.py   base64 and `data:` URLs to encoded images
    addresses.py  which addresses of images are fetched; networks.py where to; fetching.py how
    keys.py       who asks; rates.py how often; quotas.py how much of a day; admission.py whose turn it is
    ledger.py     what all requests are counted against; of several workers: clerk.py, remote.py, link.py
    upstream.py   Triton, as the routes see it; broken_off.py ends what a task does
    split.py      a canary: a second Triton, and which callers it has
    straight.py   the way of `POST /infer`, past FastAPI's routes
    events.py     server-sent events; journal.py keeps them; background.py: streams without a client
    routes/       one file for each kind of request
    documented.py every public object in the OpenAPI document; reference.py that document as docs/api.md
    app.py        all of it together; commands.py `pixelis gateway`: opening.py, and
    workers.py    several processes behind one port; worker.py is one of them
"""
