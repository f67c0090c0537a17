package s3

import (
	"net/http"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

// grant is what an ACL says of one grantee: the owner by id, or a group by URI.
func grant(grantee, permission string) string {
	kind, member := "CanonicalUser", "<ID>"+grantee+"</ID>"
	if strings.HasPrefix(grantee, "http") {
		kind, member = "Group", "<URI>"+grantee+"</URI>"
	}
	return `<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="` + kind + `">` + member +
		`</Grantee><Permission>` + permission + `</Permission></Grant>`
}

const (
	everyone   = "http://acs.amazonaws.com/groups/global/AllUsers"
	authorized = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
	logWriters = "http://acs.amazonaws.com/groups/s3/LogDelivery"
)

// cannedACL is the document a canned ACL stands for.
func (s *Service) cannedACL(name string) (string, bool) {
	id := ownerID(s.account)
	grants := grant(id, "FULL_CONTROL")
	switch name {
	case "", "private", "bucket-owner-full-control", "bucket-owner-read", "aws-exec-read":
	case "public-read":
		grants += grant(everyone, "READ")
	case "public-read-write":
		grants += grant(everyone, "READ") + grant(everyone, "WRITE")
	case "authenticated-read":
		grants += grant(authorized, "READ")
	case "log-delivery-write":
		grants += grant(logWriters, "WRITE") + grant(logWriters, "READ_ACP")
	default:
		return "", false
	}
	return `<AccessControlPolicy xmlns="` + xmlns + `"><Owner><ID>` + id + `</ID></Owner><AccessControlList>` + grants +
		`</AccessControlList></AccessControlPolicy>`, true
}

// getACL answers for buckets and objects. Objects belong to the bucket's owner and are private: what an object's ACL
// was put as is checked, and not kept.
func (s *Service) getACL(q *request) (*awsapi.Response, error) {
	text, ok := s.config.get(q.bucket, "acl")
	if q.key != "" {
		if _, err := s.store.Head(q.bucket, q.key, q.version()); err != nil {
			return nil, err
		}
		ok = false
	}
	if !ok {
		text, _ = s.cannedACL("private")
	}
	return &awsapi.Response{Header: http.Header{"Content-Type": {"application/xml"}}, Body: []byte(text)}, nil
}

// ownerEnforced tells whether the bucket's ownership controls turn ACLs off.
func (s *Service) ownerEnforced(bucket string) bool {
	text, _ := s.config.get(bucket, "ownershipControls")
	return strings.Contains(text, ">BucketOwnerEnforced<")
}

// wantedACL is the ACL document that a request's header or body asks for.
func (s *Service) wantedACL(q *request) (string, error) {
	name := q.header("X-Amz-Acl")
	if name == "" && len(q.Body) > 0 {
		if !wellFormed(q.Body, "AccessControlPolicy") {
			return "", &awsapi.Error{Code: "MalformedACLError", Message: "The XML you provided was not well-formed or did not validate against our published schema"}
		}
		return string(q.Body), nil
	}
	text, ok := s.cannedACL(name)
	if !ok {
		return "", invalid("Argument value is not one of the canned ACLs")
	}
	return text, nil
}

func (s *Service) putACL(q *request) (*awsapi.Response, error) {
	text, err := s.wantedACL(q)
	if err != nil {
		return nil, err
	}
	if err := s.allowACL(q, text); err != nil {
		return nil, err
	}
	if err := s.config.put(q.bucket, map[string]string{"acl": text}); err != nil {
		return nil, err
	}
	return &awsapi.Response{}, nil
}

func (s *Service) putObjectACL(q *request) (*awsapi.Response, error) {
	text, err := s.wantedACL(q)
	if err != nil {
		return nil, err
	}
	if _, err := s.store.Head(q.bucket, q.key, q.version()); err != nil {
		return nil, err
	}
	if err := s.allowACL(q, text); err != nil {
		return nil, err
	}
	return &awsapi.Response{}, nil
}

// allowACL refuses ACLs that the bucket's ownership controls or public access block refuse.
func (s *Service) allowACL(q *request, text string) error {
	private, _ := s.cannedACL("private")
	if text != private && s.ownerEnforced(q.bucket) {
		return &awsapi.Error{Code: "AccessControlListNotSupported", Message: "The bucket does not allow ACLs"}
	}
	if (strings.Contains(text, everyone) || strings.Contains(text, authorized)) && s.blocked(q.bucket, "BlockPublicAcls") {
		return accessDenied("Access Denied")
	}
	return nil
}
