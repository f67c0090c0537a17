package iam

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

func policyOperations() map[string]operation {
	ops := map[string]operation{
		"CreatePolicy":            {false, "policy", (*Store).createPolicy},
		"GetPolicy":               {true, "policy", (*Store).getPolicy},
		"ListPolicies":            {true, "policies", (*Store).listPolicies},
		"DeletePolicy":            {false, "policy", (*Store).deletePolicy},
		"GetPolicyVersion":        {true, "policy", (*Store).getPolicyVersion},
		"ListPolicyVersions":      {true, "policy", (*Store).listPolicyVersions},
		"CreatePolicyVersion":     {false, "policy", (*Store).createPolicyVersion},
		"DeletePolicyVersion":     {false, "policy", (*Store).deletePolicyVersion},
		"SetDefaultPolicyVersion": {false, "policy", (*Store).setDefaultPolicyVersion},
		"ListEntitiesForPolicy":   {true, "policy", (*Store).listEntitiesForPolicy},
	}
	// Users and roles have the same operations on their own policies.
	for _, o := range []owner{
		{"User", "user", 2048, (*Store).userNamed, (*Store).changeUser},
		{"Role", "role", 10240, (*Store).role, func(s *Store, q *query, change func(*entity) error) error {
			_, err := s.changeRole(q, change)
			return err
		}},
	} {
		ops["Put"+o.kind+"Policy"] = operation{false, o.resource, o.put}
		ops["Get"+o.kind+"Policy"] = operation{true, o.resource, o.get}
		ops["List"+o.kind+"Policies"] = operation{true, o.resource, o.list}
		ops["Delete"+o.kind+"Policy"] = operation{false, o.resource, o.delete}
		ops["Attach"+o.kind+"Policy"] = operation{false, o.resource, o.attach}
		ops["Detach"+o.kind+"Policy"] = operation{false, o.resource, o.detach}
		ops["ListAttached"+o.kind+"Policies"] = operation{true, o.resource, o.listAttached}
	}
	return ops
}

// owner is what has policies: users or roles.
type owner struct {
	kind     string // "User" or "Role"
	resource string
	longest  int // how much inline policy it may have together, in characters
	find     func(s *Store, q *query) (*entity, error)
	change   func(s *Store, q *query, change func(*entity) error) error
}

// userNamed returns the user that a call names. Callers hold s.mu.
func (s *Store) userNamed(q *query) (*entity, error) {
	name, err := q.need("UserName")
	if err != nil {
		return nil, err
	}
	return s.user(q, name)
}

func (o owner) put(s *Store, q *query) (fields, error) {
	name, err := q.needName("PolicyName", 128)
	if err != nil {
		return nil, err
	}
	text, err := q.policyDocument("PolicyDocument", policy.IdentityPolicy, policy.MaxSize)
	if err != nil {
		return nil, err
	}
	return nil, o.change(s, q, func(e *entity) error {
		e.Inline[name] = text
		size := 0
		for _, t := range e.Inline {
			size += len(strings.Join(strings.Fields(t), ""))
		}
		if size > o.longest {
			return conflict("LimitExceeded", "Maximum policy size of %d bytes exceeded for %s %s", o.longest, o.resource, e.Name)
		}
		return nil
	})
}

func (o owner) get(s *Store, q *query) (fields, error) {
	name, err := q.need("PolicyName")
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, err := o.find(s, q)
	if err != nil {
		return nil, err
	}
	text, ok := e.Inline[name]
	if !ok {
		return nil, o.missing(name)
	}
	return fields{{o.kind + "Name", e.Name}, {"PolicyName", name}, {"PolicyDocument", document(text)}}, nil
}

func (o owner) missing(name string) error {
	return noSuch("The %s policy with name %s cannot be found.", o.resource, name)
}

func (o owner) list(s *Store, q *query) (fields, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, err := o.find(s, q)
	if err != nil {
		return nil, err
	}
	names, more, err := page(q.v, slices.Collect(maps.Keys(e.Inline)))
	l := list{}
	for _, n := range names {
		l = append(l, n)
	}
	return append(fields{{"PolicyNames", l}}, more...), err
}

func (o owner) delete(s *Store, q *query) (fields, error) {
	name, err := q.need("PolicyName")
	if err != nil {
		return nil, err
	}
	return nil, o.change(s, q, func(e *entity) error {
		if _, ok := e.Inline[name]; !ok {
			return o.missing(name)
		}
		delete(e.Inline, name)
		return nil
	})
}

// attachedLimit is how many managed policies a user or role may have.
const attachedLimit = 10

func (o owner) attach(s *Store, q *query) (fields, error) {
	arn, err := q.need("PolicyArn")
	if err != nil {
		return nil, err
	}
	return nil, o.change(s, q, func(e *entity) error {
		if s.policies[arn] == nil {
			return noSuch("Policy %s does not exist or is not attachable.", arn)
		}
		if slices.Contains(e.Attached, arn) {
			return nil
		}
		if len(e.Attached) >= attachedLimit {
			return conflict("LimitExceeded", "Cannot exceed quota for PoliciesPer%s: %d", o.kind, attachedLimit)
		}
		e.Attached = append(e.Attached, arn)
		return nil
	})
}

func (o owner) detach(s *Store, q *query) (fields, error) {
	arn, err := q.need("PolicyArn")
	if err != nil {
		return nil, err
	}
	return nil, o.change(s, q, func(e *entity) error {
		i := slices.Index(e.Attached, arn)
		if i < 0 {
			return noSuch("Policy %s was not found.", arn)
		}
		e.Attached = slices.Delete(e.Attached, i, i+1)
		return nil
	})
}

func (o owner) listAttached(s *Store, q *query) (fields, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, err := o.find(s, q)
	if err != nil {
		return nil, err
	}
	arns, more, err := page(q.v, slices.Clone(e.Attached))
	l := list{}
	for _, arn := range arns {
		if m := s.policies[arn]; m != nil && strings.HasPrefix(m.Path, q.get("PathPrefix")) {
			l = append(l, fields{{"PolicyName", m.Name}, {"PolicyArn", arn}})
		}
	}
	return append(fields{{"AttachedPolicies", l}}, more...), err
}

// attachments counts the users and roles that have a managed policy. Callers hold s.mu.
func (s *Store) attachments(arn string) int {
	n := 0
	for _, entities := range []map[string]*entity{s.users, s.roles} {
		for _, e := range entities {
			if slices.Contains(e.Attached, arn) {
				n++
			}
		}
	}
	return n
}

func (s *Store) policyFields(m *managed) fields {
	return fields{
		{"PolicyName", m.Name}, {"PolicyId", m.ID}, {"Arn", m.ARN}, {"Path", m.Path}, {"DefaultVersionId", m.Default},
		{"AttachmentCount", s.attachments(m.ARN)}, {"PermissionsBoundaryUsageCount", 0}, {"IsAttachable", true},
		{"CreateDate", m.Created}, {"UpdateDate", m.Updated},
	}
}

func versionFields(m *managed, v version, withDocument bool) fields {
	f := fields{{"VersionId", v.ID}, {"IsDefaultVersion", v.ID == m.Default}, {"CreateDate", v.Created}}
	if withDocument {
		f = append(f, field{"Document", document(v.Document)})
	}
	return f
}

// managedPolicy returns the policy that a call names. Callers hold s.mu.
func (s *Store) managedPolicy(q *query) (*managed, error) {
	arn, err := q.need("PolicyArn")
	if err != nil {
		return nil, err
	}
	if m := s.policies[arn]; m != nil {
		return m, nil
	}
	return nil, noSuch("Policy %s was not found.", arn)
}

// policyLimit is how long a managed policy may be.
const policyLimit = 6144

func (s *Store) createPolicy(q *query) (fields, error) {
	name, err := q.needName("PolicyName", 128)
	if err != nil {
		return nil, err
	}
	path, err := q.path()
	if err != nil {
		return nil, err
	}
	text, err := q.policyDocument("PolicyDocument", policy.IdentityPolicy, policyLimit)
	if err != nil {
		return nil, err
	}
	tags, err := q.tags()
	if err != nil {
		return nil, err
	}
	now := q.Time.Truncate(time.Second)
	m := &managed{
		Name: name, Path: path, ID: newID("ANPA"), ARN: s.arn("policy", path, name), Description: q.get("Description"),
		Created: now, Updated: now, Tags: tags,
	}
	m.Default = m.add(text, now).ID
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.policies {
		if !other.aws && strings.EqualFold(other.Name, name) {
			return nil, conflict("EntityAlreadyExists", "A policy called %s already exists. Duplicate names are not allowed.", name)
		}
	}
	if err := s.putPolicy(m); err != nil {
		return nil, err
	}
	return fields{{"Policy", append(s.policyFields(m), field{"Tags", tagList(tags)})}}, nil
}

func (s *Store) getPolicy(q *query) (fields, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m, err := s.managedPolicy(q)
	if err != nil {
		return nil, err
	}
	f := append(s.policyFields(m), field{"Tags", tagList(m.Tags)})
	if m.Description != "" {
		f = append(f, field{"Description", m.Description})
	}
	return fields{{"Policy", f}}, nil
}

func (s *Store) listPolicies(q *query) (fields, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var arns []string
	for arn, m := range s.policies {
		scope := q.get("Scope")
		if scope == "AWS" && !m.aws || scope == "Local" && m.aws || !strings.HasPrefix(m.Path, q.get("PathPrefix")) {
			continue
		}
		if attached, _ := strconv.ParseBool(q.get("OnlyAttached")); attached && s.attachments(arn) == 0 {
			continue
		}
		arns = append(arns, arn)
	}
	arns, more, err := page(q.v, arns)
	l := list{}
	for _, arn := range arns {
		l = append(l, s.policyFields(s.policies[arn]))
	}
	return append(fields{{"Policies", l}}, more...), err
}

// changePolicy stores a changed copy of the managed policy that a call names.
func (s *Store) changePolicy(q *query, change func(m *managed) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.managedPolicy(q)
	if err != nil {
		return err
	}
	if m.aws {
		return &awsapi.Error{Code: "AccessDenied", Message: "Policy " + m.ARN + " is managed by AWS and can't be changed.", Status: 403}
	}
	m = m.copy()
	if err := change(m); err != nil {
		return err
	}
	m.Updated = q.Time.Truncate(time.Second)
	return s.putPolicy(m)
}

func (s *Store) deletePolicy(q *query) (fields, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.managedPolicy(q)
	if err != nil {
		return nil, err
	}
	switch {
	case m.aws:
		return nil, &awsapi.Error{Code: "AccessDenied", Message: "Policy " + m.ARN + " is managed by AWS and can't be changed.", Status: 403}
	case s.attachments(m.ARN) > 0:
		return nil, conflict("DeleteConflict", "Cannot delete a policy attached to entities.")
	case len(m.Versions) > 1:
		return nil, conflict("DeleteConflict", "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
	}
	return nil, s.change(func(tx *state.Tx) error { return tx.Delete(bucketPolicies, m.ARN) }, func() { delete(s.policies, m.ARN) })
}

func (s *Store) getPolicyVersion(q *query) (fields, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m, err := s.managedPolicy(q)
	if err != nil {
		return nil, err
	}
	v, ok := m.version(q.get("VersionId"))
	if !ok {
		return nil, noVersion(m, q)
	}
	return fields{{"PolicyVersion", versionFields(m, v, true)}}, nil
}

func noVersion(m *managed, q *query) error {
	return noSuch("Policy %s version %s does not exist or is not attachable.", m.ARN, q.get("VersionId"))
}

func (s *Store) listPolicyVersions(q *query) (fields, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m, err := s.managedPolicy(q)
	if err != nil {
		return nil, err
	}
	l := list{}
	for _, v := range slices.Backward(m.Versions) {
		l = append(l, versionFields(m, v, false))
	}
	return fields{{"Versions", l}, {"IsTruncated", false}}, nil
}

func (s *Store) createPolicyVersion(q *query) (result fields, err error) {
	text, err := q.policyDocument("PolicyDocument", policy.IdentityPolicy, policyLimit)
	if err != nil {
		return nil, err
	}
	return result, s.changePolicy(q, func(m *managed) error {
		if len(m.Versions) >= 5 {
			return conflict("LimitExceeded", "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.")
		}
		v := m.add(text, q.Time.Truncate(time.Second))
		if asDefault, _ := strconv.ParseBool(q.get("SetAsDefault")); asDefault {
			m.Default = v.ID
		}
		result = fields{{"PolicyVersion", versionFields(m, v, false)}}
		return nil
	})
}

func (s *Store) deletePolicyVersion(q *query) (fields, error) {
	return nil, s.changePolicy(q, func(m *managed) error {
		v, ok := m.version(q.get("VersionId"))
		if !ok {
			return noVersion(m, q)
		}
		if v.ID == m.Default {
			return conflict("DeleteConflict", "Cannot delete the default version of a policy.")
		}
		m.Versions = slices.DeleteFunc(m.Versions, func(o version) bool { return o.ID == v.ID })
		return nil
	})
}

func (s *Store) setDefaultPolicyVersion(q *query) (fields, error) {
	return nil, s.changePolicy(q, func(m *managed) error {
		v, ok := m.version(q.get("VersionId"))
		if !ok {
			return noVersion(m, q)
		}
		m.Default = v.ID
		return nil
	})
}

func (s *Store) listEntitiesForPolicy(q *query) (fields, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m, err := s.managedPolicy(q)
	if err != nil {
		return nil, err
	}
	who := func(entities map[string]*entity, kind string) list {
		l := list{}
		for _, name := range slices.Sorted(maps.Keys(entities)) {
			if e := entities[name]; slices.Contains(e.Attached, m.ARN) {
				l = append(l, fields{{kind + "Name", name}, {kind + "Id", e.ID}})
			}
		}
		return l
	}
	return fields{{"PolicyGroups", list{}}, {"PolicyUsers", who(s.users, "User")}, {"PolicyRoles", who(s.roles, "Role")}, {"IsTruncated", false}}, nil
}
