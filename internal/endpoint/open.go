package endpoint

import (
	"net/http"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

// open is a service whose callers may show who they are in a way of the service's own. They are anonymous to all else.
type open interface {
	Open(r *http.Request) bool
}

// admitOpen admits a request that a service is open to. The service is nil when none is.
func (h *handler) admitOpen(c *awsapi.Call, body []byte) (awsapi.Service, awsapi.Protocol) {
	for name, s := range h.services {
		if o, ok := s.(open); ok && o.Open(c.Request) {
			operation, p, _ := s.Route(c.Request, body)
			c.Body, c.Caller, c.Signing, c.Operation = body, &awsapi.Identity{}, name, operation
			c.Region, c.ID = h.hostRegion(c.Request.Host), requestID(name)
			return s, p
		}
	}
	return nil, 0
}
