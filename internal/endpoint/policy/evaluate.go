package policy

import "strings"

// Principal is who asks. The zero value is the anonymous principal.
type Principal struct {
	ARN       string // "arn:aws:iam::111122223333:user/ci", "arn:aws:sts::111122223333:assumed-role/app/session"
	RoleARN   string // the role behind an assumed role's session
	ID        string // "AIDA…", "AROA…:session"
	Account   string // the account the principal belongs to; "" for services and anonymous callers
	Service   string // "cloudtrail.amazonaws.com", for AWS services
	Federated string // an identity provider's ARN or name
	Root      bool   // the account's root user
}

// Request is one question: may the principal do this to that?
type Request struct {
	Principal Principal
	Action    string // "s3:GetObject"
	Resource  string // an ARN, or "*" for actions that have no resource; ignored by trust policies
	Context   Context
}

// Context holds the condition keys of a request and their values, for example "aws:SourceIp". Keys compare without
// regard to case.
type Context map[string][]string

// Get returns the key's values.
func (c Context) Get(key string) ([]string, bool) {
	if v, ok := c[key]; ok {
		return v, true
	}
	for k, v := range c {
		if strings.EqualFold(k, key) {
			return v, true
		}
	}
	return nil, false
}

// Decision is what documents say to a request.
type Decision int

// The decisions, the weaker before the stronger.
const (
	ImplicitDeny Decision = iota // no statement matches
	Delegated                    // allowed to the principal's account, whose own policies must allow it to the principal
	Allow                        // allowed to the principal
	Deny                         // a Deny statement matches
)

func (d Decision) String() string {
	return [...]string{"implicit deny", "delegated", "allow", "deny"}[d]
}

// Evaluate returns the strongest decision of the documents' statements. The documents are all of one kind: the
// principal's identity policies, or a resource's policies. Statements without a principal element are taken to be for
// the request's principal, so a resource's policy has to be validated as one before it comes here.
func Evaluate(docs []*Document, r Request) Decision {
	decision := ImplicitDeny
	action := strings.ToLower(r.Action)
	for _, d := range docs {
		variables := d.Version == "2012-10-17"
		for i := range d.Statements {
			s := &d.Statements[i]
			who := s.principal(&r.Principal)
			if who == ImplicitDeny || !s.matches(action, &r, variables) {
				continue
			}
			if s.Effect == EffectDeny {
				return Deny
			}
			decision = max(decision, who)
		}
	}
	return decision
}

// matches tells whether the statement is about the request's action, resource and context.
func (s *Statement) matches(action string, r *Request, variables bool) bool {
	switch {
	case len(s.Actions) > 0 && !anyGlob(s.Actions, action):
		return false
	case len(s.NotActions) > 0 && anyGlob(s.NotActions, action):
		return false
	case len(s.Resources) > 0 && !anyResource(s.Resources, r, variables):
		return false
	case len(s.NotResources) > 0 && anyResource(s.NotResources, r, variables):
		return false
	}
	for i := range s.Conditions {
		if !s.Conditions[i].holds(r.Context, variables) {
			return false
		}
	}
	return true
}

func anyGlob(patterns []string, s string) bool {
	for _, p := range patterns {
		if glob(p, s) {
			return true
		}
	}
	return false
}

func anyResource(patterns []string, r *Request, variables bool) bool {
	for _, p := range patterns {
		p, ok := pattern(p, r.Context, variables)
		if ok && globARN(p, r.Resource) {
			return true
		}
	}
	return false
}

// principal says how the statement's principal element takes the principal: not at all (ImplicitDeny), through its
// account (Delegated), or directly (Allow).
func (s *Statement) principal(p *Principal) Decision {
	if len(s.NotPrincipals) > 0 {
		for _, n := range s.NotPrincipals {
			if n.names(p) == Allow || n.names(p) == Delegated {
				return ImplicitDeny
			}
		}
		return Allow
	}
	if len(s.Principals) == 0 {
		return Allow
	}
	best := ImplicitDeny
	for _, n := range s.Principals {
		best = max(best, n.names(p))
	}
	return best
}

func (n Name) names(p *Principal) Decision {
	switch n.Type {
	case "*":
		return Allow
	case "AWS":
		return n.namesAWS(p)
	case "Service":
		if p.Service != "" && n.Value == p.Service {
			return Allow
		}
	case "Federated":
		if p.Federated != "" && n.Value == p.Federated {
			return Allow
		}
	}
	return ImplicitDeny
}

func (n Name) namesAWS(p *Principal) Decision {
	if p.Account == "" {
		return ImplicitDeny
	}
	id, _, _ := strings.Cut(p.ID, ":")
	switch n.Value {
	case p.Account, "arn:aws:iam::" + p.Account + ":root":
		if p.Root {
			return Allow
		}
		return Delegated
	case p.ARN:
		return Allow
	}
	if p.RoleARN != "" && n.Value == p.RoleARN || id != "" && (n.Value == id || n.Value == p.ID) {
		return Allow
	}
	return ImplicitDeny
}

// Policies are the documents that bear on one request within one account.
type Policies struct {
	Identity []*Document // of the user or role
	Session  []*Document // passed when the session was made; they can only take away
	Limited  bool        // a session that has only what both Session and Identity allow, even if Session is empty
	Resource []*Document // of the resource asked for
}

// Authorize decides a request as AWS does within one account: any Deny denies; else the root user, what the identity
// policies allow and the session policies don't withhold, and what the resource's policies allow the principal itself
// is allowed. It returns Allow, Deny or ImplicitDeny.
func Authorize(p Policies, r Request) Decision {
	identity, session := Evaluate(p.Identity, r), Evaluate(p.Session, r)
	resource := ImplicitDeny
	if len(p.Resource) > 0 {
		resource = Evaluate(p.Resource, r)
	}
	if identity == Deny || session == Deny || resource == Deny {
		return Deny
	}
	if r.Principal.Root || resource == Allow {
		return Allow
	}
	if identity == Allow && (session == Allow || len(p.Session) == 0 && !p.Limited) {
		return Allow
	}
	return ImplicitDeny
}
