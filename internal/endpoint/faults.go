package endpoint

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/fault"
)

// faultsPath is where the faults in force are read and set.
const faultsPath = "/_aitrail/faults"

// spoiled is the error that a fault answers a call with, or nil.
func (h *handler) spoiled(c *awsapi.Call, p awsapi.Protocol) *awsapi.Error {
	switch {
	case h.faults.Strikes(fault.Throttle, c.ID):
		return throttled(p)
	case h.faults.Strikes(fault.Error, c.ID):
		return internal(p)
	}
	return nil
}

// administer answers requests for faultsPath: GET tells the faults in force, POST sets those that its body names, and
// DELETE ends all; each answers with the faults that are then in force. It is for the root user's own key, from this
// machine, and no call of AWS's: nothing is recorded.
func (h *handler) administer(w http.ResponseWriter, r *http.Request, body []byte) {
	if !local(r.RemoteAddr) {
		tell(w, http.StatusForbidden, "faults are set from this machine only")
		return
	}
	caller, body, err := h.iam.Authenticate(r, body, h.opts.Now().UTC())
	id, _ := h.iam.RootKey()
	if err != nil || caller.Identity.Kind != awsapi.Root || caller.Identity.AccessKeyID != id {
		tell(w, http.StatusForbidden, "faults are set with requests that the root user's access key signs")
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPost:
		shares := fault.Shares{}
		if err := json.Unmarshal(body, &shares); err != nil {
			tell(w, http.StatusBadRequest, `the body must be an object of shares, as {"throttle": 0.1}`)
			return
		}
		var bad *fault.SharesError
		if err := h.faults.Set(shares); errors.As(err, &bad) {
			tell(w, http.StatusBadRequest, bad.Reason)
			return
		}
	case http.MethodDelete:
		h.faults.Clear()
	default:
		w.Header().Set("Allow", "GET, POST, DELETE")
		tell(w, http.StatusMethodNotAllowed, "faults are read with GET, set with POST and ended with DELETE")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(encode(h.faults.Shares()), '\n')) // a client that has gone gets no answer
}

func tell(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(encode(map[string]string{"message": message}), '\n')) // a client that has gone gets no answer
}

// local tells whether an address is this machine's own.
func local(remote string) bool {
	host, _, err := net.SplitHostPort(remote)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}
