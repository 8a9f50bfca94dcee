"""Loading and unloading a model by the server's own model-repository API, from a process of it.

Not by `pb_utils.load_model`: Triton 2.51 holds the interpreter's lock from the call to the end of the load, so that the
process that keeps the leases would answer nobody meanwhile (tried: no other thread of it ran for 3.4 s of 3.4).
"""

from __future__ import annotations

import http.client
import os

from pixelis.errors import DeadlineExceeded, ServingError, Unavailable
from pixelis.json_text import loads

URL, KEY = "PIXELIS_CONTROL_URL", "PIXELIS_REPOSITORY_KEY"
"""Environment: `host:port` of the server's HTTP, and what opens loading there; the embedded server sets both."""
_HEADER = "pixelis-repository-key"


class Control:
    """The server that this process belongs to.

    Args:
        url: `host:port` of HTTP; by default what the environment says.
        key: opens loading.
    """

    def __init__(self, url: str | None = None, key: str | None = None) -> None:
        self._url = os.environ.get(URL, "") if url is None else url
        self._key = os.environ.get(KEY, "") if key is None else key

    def load(self, model: str, timeout_s: float) -> None:
        """Load a model; returns when it answers.

        Raises:
            ServingError: it does not load; the text is Triton's.
            DeadlineExceeded: it is still loading.
            Unavailable: it is not known where the server listens, or it does not.
        """
        self._post(model, "load", timeout_s)

    def unload(self, model: str, timeout_s: float) -> None:
        """Have a model unloaded; its process may go on for a while. Raises as `load` does."""
        self._post(model, "unload", timeout_s)

    def _post(self, model: str, what: str, timeout_s: float) -> None:
        if not self._url:
            raise Unavailable(
                "Models are not loaded here: it is not known where the server listens.",
                mend=f"Set {URL} to host:port of its HTTP, and {KEY} where loading is restricted.",
            )
        connection = http.client.HTTPConnection(self._url, timeout=timeout_s)
        try:
            connection.request("POST", f"/v2/repository/models/{model}/{what}", b"{}", {_HEADER: self._key})
            response = connection.getresponse()
            text = response.read()
        except TimeoutError:
            raise DeadlineExceeded(f"`{model}` did not {what} within {timeout_s:.0f} s.") from None
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"The server does not take orders at {self._url}: {type(error).__name__}.") from None
        finally:
            connection.close()
        if response.status != 200:
            raise ServingError(f"`{model}` does not {what}: {_reason(text)}")


def _reason(text: bytes) -> str:
    try:
        said = str(loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        said = text.decode(errors="replace")
    return " ".join(said.split("\n\nAt:")[0].split())[:500]
