package audittrail

import "github.com/aitrail/aitrail/internal/provision"

// Setup is what the arguments say.
func (a *AuditTrailArgs) Setup() provision.Setup { return a.setup() }
