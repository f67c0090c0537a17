package iam

import (
	"strconv"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

func roleOperations() map[string]operation {
	return map[string]operation{
		"CreateRole":                  {false, "role", (*Store).createRole},
		"CreateServiceLinkedRole":     {false, "service role", (*Store).createServiceLinkedRole},
		"GetRole":                     {true, "role", (*Store).getRole},
		"ListRoles":                   {true, "roles", (*Store).listRoles},
		"DeleteRole":                  {false, "role", (*Store).deleteRole},
		"UpdateRole":                  {false, "role", (*Store).updateRole},
		"UpdateRoleDescription":       {false, "role", (*Store).updateRoleDescription},
		"UpdateAssumeRolePolicy":      {false, "role", (*Store).updateAssumeRolePolicy},
		"TagRole":                     {false, "role", (*Store).tagRole},
		"UntagRole":                   {false, "role", (*Store).untagRole},
		"ListRoleTags":                {true, "role", (*Store).listRoleTags},
		"ListInstanceProfilesForRole": {true, "role", (*Store).listInstanceProfilesForRole},
	}
}

// defaultSession is how long a role's sessions last at most, in seconds, unless the role says otherwise.
const defaultSession = 3600

// roleFields is a role as lists show it; get adds what GetRole shows besides.
func (s *Store) roleFields(r *entity) fields {
	f := fields{
		{"Path", r.Path}, {"RoleName", r.Name}, {"RoleId", r.ID}, {"Arn", s.roleARN(r)}, {"CreateDate", r.Created},
		{"AssumeRolePolicyDocument", document(r.Trust)}, {"MaxSessionDuration", r.MaxSession},
	}
	if r.Description != "" {
		f = append(f, field{"Description", r.Description})
	}
	return f
}

// role returns the role that a call names. Callers hold s.mu.
func (s *Store) role(q *query) (*entity, error) {
	name, err := q.need("RoleName")
	if err != nil {
		return nil, err
	}
	if r := find(s.roles, name); r != nil {
		return r, nil
	}
	return nil, noSuch("The role with name %s cannot be found.", name)
}

func (s *Store) createRole(q *query) (fields, error) {
	name, err := q.needName("RoleName", 64)
	if err != nil {
		return nil, err
	}
	r := &entity{Name: name, ID: newID("AROA"), Created: q.Time.Truncate(time.Second), Description: q.get("Description")}
	if r.Path, err = q.path(); err != nil {
		return nil, err
	}
	if r.Trust, err = q.policyDocument("AssumeRolePolicyDocument", policy.TrustPolicy, 4096); err != nil {
		return nil, err
	}
	if r.MaxSession, err = q.maxSession(defaultSession); err != nil {
		return nil, err
	}
	if r.Tags, err = q.tags(); err != nil {
		return nil, err
	}
	return s.addRole(q, r)
}

func (s *Store) addRole(q *query, r *entity) (fields, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if find(s.roles, r.Name) != nil {
		return nil, conflict("EntityAlreadyExists", "Role with name %s already exists.", r.Name)
	}
	if err := s.putRole(r); err != nil {
		return nil, err
	}
	return fields{{"Role", append(s.roleFields(r), field{"Tags", tagList(r.Tags)})}}, nil
}

// maxSession returns the parameter MaxSessionDuration.
func (q *query) maxSession(otherwise int) (int, error) {
	v := q.get("MaxSessionDuration")
	if v == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 3600 || n > 43200 {
		return 0, validation("1 validation error detected: Value '%s' at 'maxSessionDuration' failed to satisfy constraint: Member must have value between 3600 and 43200", v)
	}
	return n, nil
}

// serviceRoleName is the name of a service's linked role: AWSServiceRoleForCloudTrail. Names of services that AWS
// spells in a way of its own are spelled by rule here.
func serviceRoleName(q *query) string {
	service, _, _ := strings.Cut(q.get("AWSServiceName"), ".")
	names := map[string]string{"cloudtrail": "CloudTrail", "bedrock": "AmazonBedrock", "sagemaker": "SageMaker", "config": "Config"}
	name, ok := names[service]
	if !ok && service != "" {
		name = strings.ToUpper(service[:1]) + service[1:]
	}
	name = "AWSServiceRoleFor" + name
	if suffix := q.get("CustomSuffix"); suffix != "" {
		name += "_" + suffix
	}
	return name
}

func (s *Store) createServiceLinkedRole(q *query) (fields, error) {
	service, err := q.need("AWSServiceName")
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(service, ".amazonaws.com") || !word(service, ".-") || !word(serviceRoleName(q), "_+=,.@-") {
		return nil, &awsapi.Error{Code: "InvalidInput", Message: "Could not create service-linked role for " + service + ": the service name is invalid."}
	}
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole"}]}`
	return s.addRole(q, &entity{
		Name: serviceRoleName(q), Path: "/aws-service-role/" + service + "/", ID: newID("AROA"), Created: q.Time.Truncate(time.Second),
		Description: q.get("Description"), Trust: trust, MaxSession: defaultSession,
	})
}

func (s *Store) getRole(q *query) (fields, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, err := s.role(q)
	if err != nil {
		return nil, err
	}
	return fields{{"Role", append(s.roleFields(r), field{"Tags", tagList(r.Tags)}, field{"RoleLastUsed", fields{}})}}, nil
}

func (s *Store) listRoles(q *query) (fields, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	names, more, err := page(q.v, named(s.roles, q.get("PathPrefix")))
	l := list{}
	for _, n := range names {
		l = append(l, s.roleFields(s.roles[n]))
	}
	return append(fields{{"Roles", l}}, more...), err
}

func (s *Store) deleteRole(q *query) (fields, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.role(q)
	if err != nil {
		return nil, err
	}
	if len(r.Attached) > 0 {
		return nil, conflict("DeleteConflict", "Cannot delete entity, must detach all policies first.")
	}
	if len(r.Inline) > 0 {
		return nil, conflict("DeleteConflict", "Cannot delete entity, must delete policies first.")
	}
	return nil, s.change(func(tx *state.Tx) error { return tx.Delete(bucketRoles, r.Name) }, func() { delete(s.roles, r.Name) })
}

// changeRole stores a changed copy of the role that a call names, and returns it.
func (s *Store) changeRole(q *query, change func(r *entity) error) (*entity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.role(q)
	if err != nil {
		return nil, err
	}
	r = r.copy()
	if err := change(r); err != nil {
		return nil, err
	}
	return r, s.putRole(r)
}

func (s *Store) updateRole(q *query) (fields, error) {
	_, err := s.changeRole(q, func(r *entity) (err error) {
		if q.v.Has("Description") {
			r.Description = q.get("Description")
		}
		r.MaxSession, err = q.maxSession(r.MaxSession)
		return err
	})
	return fields{}, err
}

func (s *Store) updateRoleDescription(q *query) (fields, error) {
	r, err := s.changeRole(q, func(r *entity) error {
		r.Description = q.get("Description")
		return nil
	})
	if err != nil {
		return nil, err
	}
	return fields{{"Role", s.roleFields(r)}}, nil
}

func (s *Store) updateAssumeRolePolicy(q *query) (fields, error) {
	_, err := s.changeRole(q, func(r *entity) (err error) {
		r.Trust, err = q.policyDocument("PolicyDocument", policy.TrustPolicy, 4096)
		return err
	})
	return nil, err
}

func (s *Store) tagRole(q *query) (fields, error) {
	_, err := s.changeRole(q, func(r *entity) error { return tagEntity(q, r) })
	return nil, err
}

func (s *Store) untagRole(q *query) (fields, error) {
	_, err := s.changeRole(q, func(r *entity) error { return untagEntity(q, r) })
	return nil, err
}

func (s *Store) listRoleTags(q *query) (fields, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, err := s.role(q)
	if err != nil {
		return nil, err
	}
	return listTags(q.v, r.Tags)
}

func (s *Store) listInstanceProfilesForRole(q *query) (fields, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if _, err := s.role(q); err != nil {
		return nil, err
	}
	return fields{{"InstanceProfiles", list{}}, {"IsTruncated", false}}, nil
}
